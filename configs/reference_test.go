package configs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/configs"
)

func TestDocumentationIsCurrent(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "docs", "configuration.md"))
	require.NoError(t, err)
	if string(page) != configs.Reference() {
		t.Error("docs/configuration.md is not what strait config docs prints: run make docs (go run ./cmd/strait config docs > docs/configuration.md)")
	}
}

func TestReferenceHasEveryVariableOnce(t *testing.T) {
	page := configs.Reference()
	for _, v := range contract {
		want := "| `" + v[0] + "` | none |"
		if v[1] != "" {
			want = "| `" + v[0] + "` | `" + v[1] + "` |"
		}
		assert.Equal(t, 1, strings.Count(page, want), want)
	}
	assert.NotContains(t, page, "%!", "a formatting mistake")
}

// sample reads a sample as systemd, Docker and a shell all would. Its files are
// replaced by files that exist.
func sample(t *testing.T, name string) []string {
	t.Helper()
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	cert, key := writePair(t, time.Now().Add(24*time.Hour))
	var environ []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		variable, value, ok := strings.Cut(line, "=")
		require.True(t, ok, line)
		require.NotContains(t, value, " ", "a shell would cut it")
		require.False(t, strings.ContainsAny(value, `"'$&;\`), "not all readers take quotes and special characters: %s", line)
		switch {
		case strings.HasSuffix(variable, "_CERT_FILE"), strings.HasSuffix(variable, "_CA_FILE"):
			value = cert
		case strings.HasSuffix(variable, "_KEY_FILE"):
			value = key
		}
		environ = append(environ, variable+"="+value)
	}
	return environ
}

func TestSamplesLoad(t *testing.T) {
	development, notices, err := configs.Load(sample(t, "development.env"))
	require.NoError(t, err)
	assert.Empty(t, notices)
	assert.True(t, development.Upstream.Backends.Echo())
	notices, err = development.FitOpenFiles(1024, 1024)
	require.NoError(t, err)
	assert.Empty(t, notices, "fits the smallest usual limit")

	production, notices, err := configs.Load(sample(t, "production.env"))
	require.NoError(t, err)
	assert.Empty(t, notices)
	assert.True(t, production.Upstream.Backends.TLS())
	_, err = production.FitOpenFiles(21160, 21160)
	assert.NoError(t, err, "the limit that the sample names")
	_, err = production.FitOpenFiles(21159, 21159)
	assert.Error(t, err)
}
