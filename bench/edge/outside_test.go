//go:build linux && outside

package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// With the programs that the comparison is about.
func TestAgainstNginxAndHAProxy(t *testing.T) {
	r := compareTo(t, "-many", "8", "-strait", gateway)
	assert.Equal(t, []string{"Saturated", "Offered", "Offered", "New sessions", "Memory"}, kindsOf(r))
	for _, table := range r.Tables {
		assert.Equal(t, []string{"nginx", "strait", "haproxy"}, table.Targets)
		assert.Equal(t, "nginx", table.Reference)
		assert.Len(t, table.Rows, 3)
	}
}

func TestAgainstNginxByUDP(t *testing.T) {
	r := compareTo(t, "-protocol", "udp", "-sizes", "64,256", "-strait", gateway)
	assert.Equal(t, []string{"Saturated", "Saturated", "Offered", "Offered", "Memory"}, kindsOf(r), "not everybody has sessions")
	for _, table := range r.Tables {
		assert.Equal(t, []string{"nginx", "strait", "bare echo"}, table.Targets)
	}
}
