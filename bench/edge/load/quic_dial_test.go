//go:build linux

package load

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestManySessionsHaveMoreSockets(t *testing.T) {
	for sessions, sockets := range map[int]int{1: 1, perSocket: 1, perSocket + 1: 2} {
		d, err := newQUICDialer(Server{Addr: "127.0.0.1:1"}, sessions)
		require.NoError(t, err)
		assert.Len(t, d.transports, sockets)
		require.NoError(t, d.close())
	}
	_, err := newQUICDialer(Server{Addr: "nowhere:1"}, 1)
	require.Error(t, err)
}
