//go:build linux

package main

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/bench/edge/stack"
)

// titles is the plan of a command line, with its targets' names.
func titles(t *testing.T, args ...string) (plan []string, targets string) {
	t.Helper()
	o, err := parseOptions(args, io.Discard)
	require.NoError(t, err)
	c := &comparison{o: o, idle: o.idle}
	for _, k := range o.targets {
		c.targets = append(c.targets, stack.Target{Name: string(k), Kind: k})
	}
	c.targets = by(o.protocols, c.targets)
	for _, s := range c.scenarios() {
		plan = append(plan, s.table.Title)
		assert.Positive(t, s.each)
		assert.Less(t, s.each, time.Minute)
		targets = strings.Join(s.table.Targets, ", ")
	}
	return plan, targets
}

func TestPlan(t *testing.T) {
	const sessions = "New sessions: full handshakes, ECDSA P-256, each with one echo, 32 at a time"
	plan, targets := titles(t, "-many", "5000")
	assert.Equal(t, []string{
		"Saturated: 200 clients, 64 bytes, 1 on the way for each client",
		"Offered: 12000 round trips/s, 200 clients, 64 bytes",
		"Offered: 12000 round trips/s, 5000 clients, 64 bytes",
		sessions,
		"Memory: 2000 idle sessions, then each with a message of 65536 bytes",
	}, plan)
	assert.Equal(t, "nginx, strait, haproxy", targets)

	plan, targets = titles(t, "-protocol", "all", "-saturated=false", "-rate", "0")
	assert.Equal(t, []string{sessions + "; of sealed UDP the session and its bound lane", "Memory: 2000 idle sessions, then each with a message of 1100 bytes"}, plan, "what all of them can")
	assert.Equal(t, "TLS over TCP, sealed UDP, QUIC datagrams, QUIC stream", targets)

	plan, _ = titles(t, "-protocol", "quic-streams", "-idle", "0", "-rate", "0", "-saturated=false")
	assert.Equal(t, []string{sessions + ", without Retry", sessions + ", Retry demanded of each"}, plan)

	plan, _ = titles(t, "-protocol", "udp", "-idle", "0", "-counts", "10,20", "-saturated=false")
	assert.Equal(t, []string{"Offered: 12000 round trips/s, 10 clients, 64 bytes", "Offered: 12000 round trips/s, 20 clients, 64 bytes"}, plan, "plain datagrams have no sessions")
}

func TestEachTargetByEachProtocol(t *testing.T) {
	var names []string
	for _, x := range by([]stack.Protocol{stack.TLS, stack.QUIC}, []stack.Target{{Name: "strait"}, {Name: "strait2"}, {Name: "strait STRAIT_SHARDS=1"}}) {
		names = append(names, x.Name)
	}
	assert.Equal(t, []string{"TLS over TCP", "TLS over TCP 2", "TLS over TCP STRAIT_SHARDS=1", "QUIC datagrams", "QUIC datagrams 2", "QUIC datagrams STRAIT_SHARDS=1"}, names)
}
