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
		"link://logic:7900":         {{Scheme: "link", Network: "tcp", Host: "logic", Port: 7900}},
		"LINK://Logic:07900":        {{Scheme: "link", Network: "tcp", Host: "logic", Port: 7900}},
		"link://10.0.0.1:https":     {{Scheme: "link", Network: "tcp", Host: "10.0.0.1", Port: 443}},
		"link+tls://[::1]:1":        {{Scheme: "link+tls", Network: "tcp", Host: "::1", Port: 1, Secure: true}},
		"link+unix:///run/a@b.sock": {{Scheme: "link+unix", Network: "unix", Path: "/run/a@b.sock"}},
		"grpc://logic:7900":         {{Scheme: "grpc", Network: "tcp", Host: "logic", Port: 7900}},
		"grpcs://logic:7900":        {{Scheme: "grpcs", Network: "tcp", Host: "logic", Port: 7900, Secure: true}},
		"grpc+unix:///run/l.sock":   {{Scheme: "grpc+unix", Network: "unix", Path: "/run/l.sock"}},
		" link://a:1 , link+tls://a:1,link+unix:///a": {
			{Scheme: "link", Network: "tcp", Host: "a", Port: 1}, {Scheme: "link+tls", Network: "tcp", Host: "a", Port: 1, Secure: true}, {Scheme: "link+unix", Network: "unix", Path: "/a"},
		},
	} {
		var bs configs.Backends
		require.NoError(t, bs.UnmarshalText([]byte(given)), given)
		assert.Equal(t, want, bs, given)
		assert.Equal(t, strings.Contains(given, "tls") || strings.Contains(given, "grpcs"), bs.TLS(), given)

		var again configs.Backends
		require.NoError(t, again.UnmarshalText([]byte(bs.String())))
		assert.Equal(t, bs, again, "what is printed can be given")
	}

	for bad, says := range map[string]string{
		"logic:7900":                               "the scheme is missing, as in link://host:port",
		"tcp://logic:7900":                         `the scheme "tcp" does not exist; there are link, link+tls, link+unix, grpc, grpcs, grpc+unix`,
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
