package nearest_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

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
