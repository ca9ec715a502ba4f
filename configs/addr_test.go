package configs_test

import (
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/configs"
)

func TestAddr(t *testing.T) {
	for _, good := range []string{
		":7777", ":0", "0.0.0.0:7777", "127.0.0.1:1", "[::]:7777", "[::1]:65535", "[fe80::1%eth0]:7777",
		"localhost:7777", "edge-1.example.com:7777", "edge.example.com.:7777", "my_service:7777", ":https", "[::1]:https", "off",
	} {
		var a configs.Addr
		require.NoError(t, a.UnmarshalText([]byte(good)), good)
		assert.Equal(t, good, a.String())
		assert.Equal(t, good == "off", a.Off())
	}
	for bad, says := range map[string]string{
		"7777":                               `":7777"`,
		"localhost":                          "the port is missing",
		"10.0.0.1":                           "the port is missing",
		"localhost:":                         "the port is missing",
		":":                                  "the port is missing",
		"::1":                                "in brackets",
		"::1:7777":                           "in brackets",
		"[::1]":                              "the port is missing",
		"[::1":                               "in brackets",
		"[localhost]:7777":                   "brackets are for IPv6",
		"[10.0.0.1]:7777":                    "brackets are for IPv6",
		"[]:7777":                            "brackets are for IPv6",
		"[::zz]:7777":                        "not an IPv6 address",
		"256.0.0.1:7777":                     "not an IPv4 address",
		"1.2.3:7777":                         "not an IPv4 address",
		":65536":                             "above 65535",
		":99999999999999999999":              "neither a number",
		":-1":                                "neither a number",
		":no-such-service":                   "neither a number",
		"-x:7777":                            "neither an IP address nor a host name",
		"a..b:7777":                          "neither an IP address nor a host name",
		"a b:7777":                           "neither an IP address nor a host name",
		"tcp://localhost:7777":               "a scheme does not belong here",
		"OFF":                                "the port is missing",
		strings.Repeat("a", 64) + ":7777":    "neither an IP address nor a host name",
		strings.Repeat("a.", 127) + "a:7777": "longer than 253",
	} {
		var a configs.Addr
		assert.ErrorContains(t, a.UnmarshalText([]byte(bad)), says, bad)
		assert.True(t, a.Off(), "nothing is set by what is refused")
	}
}

func TestAddressesThatMeetAndThatDoNot(t *testing.T) {
	for _, pair := range [][2]string{
		{":7777", ":7777"},
		{"127.0.0.1:7777", ":7777"},
		{"127.0.0.1:7777", "0.0.0.0:7777"},
		{"[::1]:7777", "[0:0::1]:7777"},
		{"[::]:7777", "[::1]:7777"},
		{"Edge:443", "edge:https"},
	} {
		only(t, "STRAIT_ADMIN_ADDR", refused(t, "STRAIT_TCP_ADDR="+pair[0], "STRAIT_ADMIN_ADDR="+pair[1]))
	}
	for _, pair := range [][2]string{
		{":7777", ":7778"},
		{":0", ":0"},
		{"127.0.0.1:7777", "127.0.0.2:7777"},
		{"127.0.0.1:7777", "[::1]:7777"},
		{"0.0.0.0:7777", "[::1]:7777"},
		{":7777", "off"},
	} {
		load(t, "STRAIT_TCP_ADDR="+pair[0], "STRAIT_ADMIN_ADDR="+pair[1])
	}
	load(t, "STRAIT_TCP_ADDR=:7777", "STRAIT_QUIC_ADDR=:7777")
	for _, c := range []struct {
		lanes, other string
		one          bool
	}{
		{":7777", ":7777", true},
		{":7778", ":7777", false},
		{":0", ":0", true},
		{"[::1]:443", "[::1]:443", true},
		{"off", "off", false},
		{"off", ":7777", false},
	} {
		assert.Equal(t, c.one, load(t, "STRAIT_UDP_ADDR="+c.lanes, "STRAIT_QUIC_ADDR="+c.other).Listen.OnePort(), "%v", c)
	}
	only(t, "STRAIT_QUIC_ADDR", refused(t, "STRAIT_UDP_ADDR=[::1]:443", "STRAIT_QUIC_ADDR=[0::1]:443"))
}

func FuzzAddr(f *testing.F) {
	for _, s := range []string{":7777", "[::1]:7777", "off", "a:b", "[", "]:1", "[]:0", "::", "%", "[fe80::1%25]:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var a configs.Addr
		if a.UnmarshalText([]byte(s)) != nil {
			return
		}
		if a.Off() {
			require.Equal(t, "off", s)
			return
		}
		_, _, err := net.SplitHostPort(a.String())
		require.NoError(t, err)
	})
}
