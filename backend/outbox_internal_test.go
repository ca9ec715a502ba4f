package backend

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strait/internal/direct"
	"strait/proto/batch"
)

// What is queued while a part of the last write still waits for the socket does
// not touch it.
func TestReleaseKeepsWhatWaitsForTheSocket(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	require.NoError(t, err)
	defer l.Close()
	conn, err := net.Dial("unix", l.Addr().String())
	require.NoError(t, err)
	peer, err := l.Accept()
	require.NoError(t, err)
	socket := direct.Socket(conn)
	if socket == nil {
		t.Skip("nothing is written directly here")
	}

	o := newOutbox(64 << 20)
	gone := make(chan struct{})
	written := make(chan error, 1)
	turn := make(chan struct{}, 2)
	go func() { // the writer, which goes on only when the test says so
		var b []byte
		for {
			if b = o.next(b, gone); b == nil {
				written <- nil
				return
			}
			<-turn
			if _, err := conn.Write(b); err != nil {
				written <- err
				return
			}
		}
	}()
	asleep := func() bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		return o.idle
	}
	const size = 120 << 10 // two are more than the socket holds
	send := func(n byte, size int) {
		b, err := o.begin(size)
		require.NoError(t, err)
		o.end(batch.AppendSendOne(b, uint64(n), 0, false, bytes.Repeat([]byte{n}, size)))
	}
	require.Eventually(t, asleep, 10*time.Second, time.Millisecond)
	sent, got := byte(0), byte(0)
	var r batch.LogicReader
	receive := func() {
		for got < sent {
			var head [batch.LengthLen]byte
			_, err := io.ReadFull(peer, head[:])
			require.NoError(t, err)
			b := make([]byte, binary.BigEndian.Uint32(head[:]))
			_, err = io.ReadFull(peer, b)
			require.NoError(t, err)
			r.Reset(b)
			for {
				c, ok, err := r.Next()
				require.NoError(t, err)
				if !ok {
					break
				}
				got++
				require.EqualValues(t, got, c.Sessions[0])
				require.Equal(t, bytes.Repeat([]byte{got}, len(c.Payload)), c.Payload)
			}
		}
	}
	for range 3 { // written as a whole, so that buffers are large enough to be used again
		o.hold()
		sent++
		send(sent, size)
		o.release(socket)
		receive()
	}
	for round := range 6 {
		for more := 1 + round%2; more > 0; { // until the socket is full, and every other time beyond
			o.hold()
			sent++
			send(sent, size)
			o.release(socket)
			if !asleep() {
				more--
			}
		}
		turn <- struct{}{} // for the rest, and for what came behind it
		turn <- struct{}{}
		receive()
		require.Eventually(t, asleep, 10*time.Second, time.Millisecond)
		for len(turn) > 0 {
			<-turn
		}
	}
	o.finish()
	require.NoError(t, <-written)
}
