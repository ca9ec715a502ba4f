package grpc_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"strait/upstream/grpc"
	"strait/upstream/remote"
)

func TestValidate(t *testing.T) {
	for _, url := range []string{
		"grpc://127.0.0.1:9000", "grpc://game.internal:1", "grpc://[::1]:65535", "grpcs://game:9000",
		"grpc+unix:///run/game.sock", "grpc://game:9000/",
	} {
		assert.NoError(t, grpc.Validate(url), url)
	}
	for url, say := range map[string]string{
		"":                             "the scheme must be one of grpc, grpcs, grpc+unix",
		"game:9000":                    "the scheme must be",
		"http://game:9000":             "the scheme must be",
		"grpc:game:9000":               "nothing but grpc://host:port",
		"grpc://game":                  "a host and a port, as in grpc://host:port",
		"grpc://:9000":                 "a host and a port",
		"grpcs://game":                 "as in grpcs://host:port",
		"grpc://game:0":                "1 to 65535",
		"grpc://game:70000":            "1 to 65535",
		"grpc://game:http":             "grpc://host:port",
		"grpc://game:9000/path":        "there must be no path",
		"grpc://user@game:9000":        "nothing but",
		"grpc://game:9000?a=b":         "nothing but",
		"grpc+unix://run/game.sock":    "must be absolute, as in grpc+unix:///run/game.sock",
		"grpc+unix:///":                "must be absolute",
		"grpc://game:9000\x7f":         "grpc://host:port",
		"grpc+unix:///run/game.sock#a": "nothing but grpc+unix:///path",
	} {
		err := grpc.Validate(url)
		var refused *remote.URLError
		if assert.ErrorAs(t, err, &refused, url) {
			assert.Equal(t, url, refused.URL)
			assert.ErrorContains(t, err, say, url)
		}
	}
}
