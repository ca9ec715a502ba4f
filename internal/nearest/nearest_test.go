package nearest_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/internal/nearest"
)

func TestSlips(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"a", "", 1}, {"", "abc", 3}, {"abc", "abc", 0}, {"abc", "acb", 1}, {"abc", "xbc", 1},
		{"abcd", "abd", 1}, {"TPC_ADDR", "TCP_ADDR", 1}, {"kitten", "sitting", 3},
	} {
		assert.Equal(t, tc.want, nearest.Slips(tc.a, tc.b), "%q %q", tc.a, tc.b)
		assert.Equal(t, tc.want, nearest.Slips(tc.b, tc.a), "%q %q", tc.b, tc.a)
	}
}

func TestTo(t *testing.T) {
	names := []string{"tcp", "tcp+udp", "quic"}
	assert.Equal(t, "tcp", nearest.To("tpc", names, 1))
	assert.Equal(t, "quic", nearest.To("quick", names, 2))
	assert.Equal(t, "", nearest.To("quick", names, 0))
	assert.Equal(t, "", nearest.To("pigeon", names, 3))
	assert.Equal(t, "ab", nearest.To("a", []string{"ab", "ac"}, 1), "the first of two that are as near")
}

func TestLookup(t *testing.T) {
	type entry struct {
		name string
		at   int
	}
	catalogue := []entry{{"lan", 1}, {"wifi-bad", 2}, {"mobile-handover", 3}}
	look := func(name string) (entry, error) {
		return nearest.Lookup("scenario", name, catalogue, func(e entry) string { return e.name })
	}
	e, err := look("wifi-bad")
	require.NoError(t, err)
	assert.Equal(t, 2, e.at)
	for typo, want := range map[string]string{
		"LAN":      `there is no scenario "LAN"; did you mean lan?`,
		"wifi-bda": `there is no scenario "wifi-bda"; did you mean wifi-bad?`,
		"handover": `there is no scenario "handover"; did you mean mobile-handover?`,
		"wi":       `there is no scenario "wi"; did you mean wifi-bad?`,
		"pigeon":   `there is no scenario "pigeon"; there are lan, wifi-bad, mobile-handover`,
		"":         `there is no scenario ""; there are lan, wifi-bad, mobile-handover`,
	} {
		e, err := look(typo)
		var unknown *nearest.UnknownError
		require.ErrorAs(t, err, &unknown)
		assert.EqualError(t, err, want)
		assert.Equal(t, typo, unknown.Name)
		assert.Zero(t, e)
	}
}
