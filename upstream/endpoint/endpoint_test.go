package endpoint_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/upstream/endpoint"
)

func TestParse(t *testing.T) {
	for raw, want := range map[string]endpoint.Endpoint{
		"link://127.0.0.1:9000":   {Scheme: "link", Network: "tcp", Host: "127.0.0.1", Port: 9000},
		"link+tls://[::1]:65535":  {Scheme: "link+tls", Network: "tcp", Host: "::1", Port: 65535, Secure: true},
		"grpcs://game.internal:1": {Scheme: "grpcs", Network: "tcp", Host: "game.internal", Port: 1, Secure: true},
		"grpc+unix:///run/g.sock": {Scheme: "grpc+unix", Network: "unix", Path: "/run/g.sock"},
		// A path stands as it is.
		"link+unix:///run/a%41?b#c@d e.sock": {Scheme: "link+unix", Network: "unix", Path: "/run/a%41?b#c@d e.sock"},
	} {
		got, err := endpoint.Parse(raw, endpoint.Link, endpoint.GRPC)
		require.NoError(t, err, raw)
		assert.Equal(t, want, got)
		assert.Equal(t, raw, got.String())
	}
	for _, raw := range []string{"LINK://Game:09000", "link://game:9000"} {
		got, err := endpoint.Parse(raw, endpoint.Link)
		require.NoError(t, err, raw)
		assert.Equal(t, "link://game:9000", got.String())
	}
}

func TestParseRefuses(t *testing.T) {
	for raw, says := range map[string]string{
		"":                          "the scheme is missing, as in grpc://host:port",
		"game:9000":                 "the scheme is missing",
		"grpc:game:9000":            "the scheme is missing",
		"link://game:9000":          `the scheme "link" does not exist; there are grpc, grpcs, grpc+unix`,
		"://game:9000":              `the scheme "" does not exist`,
		"grpc://game":               "the port is missing",
		"grpc://:9000":              "the host is missing",
		"grpc://game:0":             "port 0",
		"grpc://game:70000":         "above 65535",
		"grpc://game:9000/path":     `nothing may follow the port, but "/path" does`,
		"grpc://game:9000?a=b":      "nothing may follow the port",
		"grpc://game:9000\x7f":      "port",
		"grpc://u:secret@game:9000": endpoint.ErrUserinfo.Error(),
		"grpc+unix://run/game.sock": "grpc+unix:///run/logic.sock",
		"grpc+unix:///":             "names a folder",
		"grpc+unix:///a//b":         "a shorter form, /a/b",
		"grpc+unix:///" + strings.Repeat("a", 103): "at most 103",
	} {
		_, err := endpoint.Parse(raw, endpoint.GRPC)
		if assert.ErrorContains(t, err, says, raw) {
			assert.NotContains(t, err.Error(), "secret")
		}
	}
}

func TestMasked(t *testing.T) {
	for raw, want := range map[string]string{
		"link://game:1":         "link://game:1",
		"link://user:p@ss@game": "link://***@game",
		"p@ss":                  "***@ss",
		"@://":                  "***@://",
		"":                      "",
	} {
		assert.Equal(t, want, endpoint.Masked(raw))
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"link://a:1", "link+tls://[::1]:1", "grpc+unix:///x", "grpcs://u:p@h:1", "link+unix:///a/../..", "link://a%:1", "://", "link://[fe80::1%25eth0]:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		e, err := endpoint.Parse(raw, endpoint.Link, endpoint.GRPC)
		if err != nil {
			return
		}
		again, err := endpoint.Parse(e.String(), endpoint.Link, endpoint.GRPC)
		require.NoError(t, err, e.String())
		require.Equal(t, e, again)
	})
}
