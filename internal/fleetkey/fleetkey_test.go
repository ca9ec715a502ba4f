package fleetkey_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"strait/internal/fleetkey"
)

var (
	a = strings.Repeat("0a", 32)
	b = strings.Repeat("B1", 32)
)

func TestParse(t *testing.T) {
	one, err := fleetkey.Parse("# ours\n\n  " + a + "\r\n")
	require.NoError(t, err)
	two, err := fleetkey.Parse(b + "\n" + a)
	require.NoError(t, err)
	was, is := one.Derive("token"), two.Derive("token")
	require.Len(t, was, 1)
	require.Len(t, is, 2)
	require.Equal(t, was[0], is[1], "what the old first key sealed the second opens")
	require.NotEqual(t, was[0], is[0])
}

func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                         "no key",
		"# nothing\n":              "no key",
		a[1:]:                      "line 1 has 63 characters",
		"\n" + a[2:] + "zz":        "line 2 is not hex",
		a + "\n" + b + "\n" + a:    "3 keys",
		a + "\n" + a:               "both keys are the same",
		a + "\n" + a[:10] + "\n\n": "line 2 has 10 characters",
	} {
		_, err := fleetkey.Parse(text)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), a[:10])
	}
}

func TestUsesDiffer(t *testing.T) {
	r := fleetkey.Generate()
	seen := map[[fleetkey.Size]byte]bool{}
	for _, k := range [][][fleetkey.Size]byte{
		r.Derive("token"), r.Derive("reset"), r.Derive("reset", "node"), r.Derive("reset", "no", "de"),
		r.Derive("reset", "n", "ode"), r.Derive("reset", "node", ""), fleetkey.Generate().Derive("token"),
	} {
		require.False(t, seen[k[0]])
		seen[k[0]] = true
	}
	require.Equal(t, r.Derive("reset", "node"), r.Derive("reset", "node"))
}

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	_, err := fleetkey.Load(path)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, os.WriteFile(path, []byte(a+"\n"), 0o600))
	r, err := fleetkey.Load(path)
	require.NoError(t, err)
	require.Len(t, r.Derive("x"), 1)
	require.NoError(t, os.WriteFile(path, []byte(strings.Repeat(" ", 5000)), 0o600))
	_, err = fleetkey.Load(path)
	require.ErrorContains(t, err, "not a key file")
}
