//go:build linux && outside

package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// With the programs that the comparison is about.
func TestAgainstNginxAndHAProxy(t *testing.T) {
	r := compareTo(t)
	for _, table := range r.Tables {
		assert.Equal(t, []string{"nginx", "strait", "haproxy"}, table.Targets)
		assert.Equal(t, "nginx", table.Reference)
		assert.Len(t, table.Rows, 3)
	}
}
