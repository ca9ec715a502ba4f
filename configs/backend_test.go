package configs_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/configs"
)

func TestBackends(t *testing.T) {
	for given, want := range map[string]configs.Backends{
		"echo":                      nil,
		"link://logic:7900":         {{Network: "tcp", Address: "logic:7900"}},
		"LINK://Logic:07900":        {{Network: "tcp", Address: "logic:7900"}},
		"link://10.0.0.1:https":     {{Network: "tcp", Address: "10.0.0.1:443"}},
		"link+tls://[::1]:1":        {{Network: "tcp", Address: "[::1]:1", TLS: true}},
		"link+unix:///run/a@b.sock": {{Network: "unix", Address: "/run/a@b.sock"}},
		" link://a:1 , link+tls://a:1,link+unix:///a": {
			{Network: "tcp", Address: "a:1"}, {Network: "tcp", Address: "a:1", TLS: true}, {Network: "unix", Address: "/a"},
		},
	} {
		var bs configs.Backends
		require.NoError(t, bs.UnmarshalText([]byte(given)), given)
		assert.Equal(t, want, bs, given)
		assert.Equal(t, strings.Contains(given, "tls"), bs.TLS(), given)

		var again configs.Backends
		require.NoError(t, again.UnmarshalText([]byte(bs.String())))
		assert.Equal(t, bs, again, "what is printed can be given")
	}
	assert.Equal(t, "::1", configs.Backend{Network: "tcp", Address: "[::1]:1"}.Host())
	assert.Empty(t, configs.Backend{Network: "unix", Address: "/a:1"}.Host())

	for bad, says := range map[string]string{
		"logic:7900":                               "the scheme is missing, as in link://host:port",
		"tcp://logic:7900":                         `the scheme "tcp" does not exist; there are link, link+tls and link+unix`,
		"link://logic":                             "the port is missing",
		"link://logic:0":                           "port 0 cannot be dialled",
		"link://:7900":                             "the host is missing",
		"link://::1:7900":                          "in brackets",
		"link://logic:7900/":                       `nothing may follow the port, but "/" does`,
		"link://logic:7900?x=1":                    "nothing may follow the port",
		"link+unix://run/logic.sock":               "with three slashes",
		"link+unix://":                             "with three slashes",
		"link+unix:///":                            "names a folder",
		"link+unix:///run/":                        "names a folder",
		"link+unix:///" + strings.Repeat("a", 103): "at most 103",
		"echo,link://logic:7900":                   "echo stands alone",
		"echo,echo":                                "echo stands alone",
		"link://a:1,":                              "an item of the list is empty",
		"link://a:1,link://A:01":                   "link://a:1 is listed twice",
		"link+unix:///a,link+unix:///a":            "link+unix:///a is listed twice",
		"link://a:x/,ftp://b,link://":              "; ",
	} {
		var bs configs.Backends
		assert.ErrorContains(t, bs.UnmarshalText([]byte(bad)), says, bad)
		assert.Empty(t, bs, "nothing is set by what is refused")
	}
}

func FuzzBackends(f *testing.F) {
	for _, s := range []string{"echo", "link://a:1", "link+tls://[::1]:1, link+unix:///x", "link://u:p@h:1", ",", "link+unix:///a/../..", "link://a%:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var bs, again configs.Backends
		if bs.UnmarshalText([]byte(s)) != nil {
			return
		}
		require.NoError(t, again.UnmarshalText([]byte(bs.String())))
		require.Equal(t, bs, again)
	})
}
