package session

import (
	"testing"

	quicgo "github.com/quic-go/quic-go"
	"github.com/stretchr/testify/assert"
)

// hoard is a stream whose bytes never leave, for want of credit after room of them.
type hoard struct{ room, held int }

func (h *hoard) TryWriteAll(b []byte) error {
	if h.held+len(b) > h.room {
		return quicgo.ErrWouldBlock
	}
	h.held += len(b)
	return nil
}

// Without a write that waits little is written, whatever credit the peer gives.
func TestDirectWritesAreFew(t *testing.T) {
	h := &hoard{room: 1 << 30}
	var c credit
	assert.False(t, c.write(h, make([]byte, directChunk+1)), "longer than a frame that is reused")
	for c.room() {
		assert.True(t, c.write(h, make([]byte, 100)))
	}
	assert.Less(t, h.held, directBytes+directChunk)
	held := h.held
	c.confirmed()
	assert.True(t, c.room())
	assert.True(t, c.write(h, make([]byte, 100)))
	assert.Equal(t, held+100, h.held)
	h.room = h.held
	assert.False(t, c.write(h, []byte{1}), "it would block")
}
