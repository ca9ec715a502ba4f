package e2e

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Many frames in a packet are all taken, in the order in which they are.
func TestUDPPacking(t *testing.T) {
	t.Parallel()
	game := listenLogic(t)
	gw := serveUDP(t, game.env()...)
	l := bound(t, gw)
	session := game.announced(t, l.p).Session
	var frames [][]byte
	var want []string
	for i := range 40 {
		want = append(want, fmt.Sprintf("packed %d", i))
		frames = append(frames, msg(9, uint16(i), []byte(want[i])))
	}
	frames = append(frames, lanePing("packing!"), report(1, 2), make([]byte, 100)) // PAD
	l.tell(frames...)
	for _, w := range want {
		l.hears([]byte(w))
	}
	pong := l.in.await(t, "PONG", func(a arrival) bool { f := a.has(fPong); return f != nil && string(f.body[:8]) == "packing!" })
	assert.Less(t, binary.BigEndian.Uint32(pong.has(fPong).body[8:]), uint32(patience/time.Microsecond), "delay of a PONG")
	assert.Equal(t, want, game.payloads(session))
	for _, e := range game.events.all() {
		if m := e.GetMessage(); m != nil {
			assert.Equal(t, fmt.Sprintf("packed %d", m.Sequence), string(m.Payload))
		}
	}
}

// PINGs that come together, in one packet or in many, are all answered.
func TestUDPPings(t *testing.T) {
	t.Parallel()
	gw := serveUDP(t)
	l := bound(t, gw)
	var together [][]byte
	for i := range 30 {
		together = append(together, lanePing(fmt.Sprintf("one %04d", i)))
		l.tell(lanePing(fmt.Sprintf("many%04d", i)))
	}
	l.tell(together...)
	answered := func() map[string]int {
		all := make(map[string]int)
		for _, a := range l.in.all() {
			for _, f := range a.frames {
				if f.typ == fPong && (f.body[0] == 'o' || f.body[0] == 'm') {
					all[string(f.body[:8])]++
				}
			}
		}
		return all
	}
	require.Eventually(t, func() bool { return len(answered()) == 60 }, patience, time.Millisecond)
	l.fence()
	for opaque, n := range answered() {
		assert.Equal(t, 1, n, opaque)
	}
}

// A packet with one wrong frame is dropped whole, what was right in it too, and
// is neither answered nor an end of anything.
func TestUDPMalformedPackets(t *testing.T) {
	t.Parallel()
	game := listenLogic(t)
	gw := serveUDP(t, game.env()...)
	l := bound(t, gw)
	session := game.announced(t, l.p).Session
	good := msg(1, 0, []byte("beside a wrong frame"))
	good = append(good, lanePing("whatever")...)
	overrun := msg(1, 0, []byte("overrun"))
	overrun[len(overrun)-len("overrun")-1]++
	for name, wrong := range map[string][]byte{
		"unknown frame 0x01": {1}, "unknown frame 0xff": {0xff}, "DATA of the stream": {3}, "frame 0x16": {0x16},
		"ACCEPT by a client": append([]byte{fAccept}, make([]byte, 12)...),
		"PING of 7":          []byte("\x051234567"), "PONG of 11": []byte("\x0612345678901"), "CLOSE of 1": {fClose, 0},
		"MSG of 4": {fMsg, 1, 0, 0, 0}, "MSG that overruns": overrun, "FRAGMENT of 6": {fFragment, 0, 0, 0, 0, 2, 0},
		"FRAGMENT that overruns": {fFragment, 0, 0, 0, 0, 2, 0, 9, 'x'},
		"PATH_CHALLENGE of 7":    []byte("\x131234567"), "PATH_RESPONSE of 7": []byte("\x141234567"), "REPORT of 7": []byte("\x151234567"),
		"padding that is not zero": append(make([]byte, 50), 1),
	} {
		from := len(l.in.all())
		l.tell(good, wrong)
		l.tell(wrong)
		l.tell() // no frame at all
		l.fence()
		l.quiet(from, l.sock, func(a arrival) bool {
			f := a.has(fPong)
			return a.has(fReport) != nil || a.has(fPing) != nil || f != nil && string(f.body[:8]) != "whatever"
		})
		assert.Zero(t, l.times([]byte("beside a wrong frame")), name)
	}
	l.tell(msg(1, 1, []byte("a good one")))
	l.hears([]byte("a good one"))
	assert.Equal(t, []string{"a good one"}, game.payloads(session))
	l.plays()
}

// Long messages go in fragments both ways, in whatever order the pieces arrive.
func TestUDPFragments(t *testing.T) {
	t.Parallel()
	game := listenLogic(t)
	gw := serveUDP(t, game.env()...)
	l := bound(t, gw, chaCha)
	long := func(n, mark int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(i*mark + i>>8)
		}
		return b
	}
	for i, n := range []int{2000, 5000, 1100 * 16} {
		payload := long(n, 3+i)
		pieces := fragments(2, uint16(i), payload, 1100)
		switch i {
		case 1: // backwards
			for j := range pieces {
				l.tell(pieces[len(pieces)-1-j])
			}
		default:
			for _, p := range pieces {
				l.tell(p)
			}
		}
		heard := l.hears(payload)
		assert.Greater(t, heard.pieces, 1)
		assert.LessOrEqual(t, heard.pieces, 16)
		assert.Equal(t, uint16(i), heard.seq)
		assert.NotNil(t, heard.on)
	}
	// Two in turns, and the same piece twice.
	a, b := long(3000, 11), long(2500, 13)
	x, y := fragments(2, 10, a, 1000), fragments(2, 11, b, 1000)
	for _, p := range [][]byte{x[0], y[0], x[0], y[1], x[2], y[2], x[1]} {
		l.tell(p)
	}
	l.hears(a)
	l.hears(b)
	l.fence()
	assert.Equal(t, 1, l.times(a))
	assert.Equal(t, 1, l.times(b))

	// Empty pieces, and small ones in one packet, are pieces.
	l.tell(fragment(2, 12, 0, 3, []byte("sm")), fragment(2, 12, 1, 3, nil), fragment(2, 12, 2, 3, []byte("all")))
	l.hears([]byte("small"))
}

// What is not all there in time is not delivered, and neither is what does not fit
// together.
func TestUDPFragmentsThatMakeNoMessage(t *testing.T) {
	t.Parallel()
	game := listenLogic(t)
	gw := serveUDP(t, game.env()...)
	l := bound(t, gw)
	session := game.announced(t, l.p).Session
	piece := func(seq uint16, index, count byte) []byte {
		return fragment(4, seq, index, count, fmt.Appendf(nil, "[%d:%d/%d]", seq, index, count))
	}
	l.tell(piece(1, 0, 2)) // alone
	// A third reassembly of a channel evicts the oldest.
	l.tell(piece(2, 0, 2))
	l.tell(piece(3, 0, 2))
	l.tell(piece(1, 1, 2))
	l.fence()
	// Counts that differ.
	l.tell(fragment(5, 9, 0, 2, []byte("two?")))
	l.tell(fragment(5, 9, 1, 3, []byte("three?")))
	// Counts and indices that are none.
	l.tell(fragment(6, 1, 0, 1, []byte("one of one")))
	l.tell(fragment(6, 2, 0, 0, []byte("one of none")))
	for i := range byte(17) {
		l.tell(fragment(6, 3, i, 17, []byte("of seventeen")))
	}
	l.tell(fragment(6, 4, 2, 2, []byte("behind the last")))
	l.tell(fragment(6, 4, 0, 2, []byte("first")))
	l.fence()
	// Too late.
	l.tell(fragment(7, 1, 0, 2, []byte("in time, ")))
	<-time.After(600 * time.Millisecond)
	l.tell(fragment(7, 1, 1, 2, []byte("too late")))
	l.tell(msg(8, 0, []byte("whole")))
	l.hears([]byte("whole"))
	got := game.payloads(session)
	assert.Equal(t, []string{"whole"}, got)
	l.plays()
}

// Longer than what 16 pieces carry, or than the session may say: refused or cut by
// nobody, delivered to nobody.
func TestUDPFragmentsAboveTheLimit(t *testing.T) {
	t.Parallel()
	game := listenLogic(t)
	gw := serveUDP(t, game.env("STRAIT_MAX_MESSAGE_BYTES=16384")...)
	l := bound(t, gw)
	session := game.announced(t, l.p).Session
	require.EqualValues(t, 16384, l.p.hello.MaxMessageBytes)
	for i, n := range []int{16384, 16385, 17600} {
		for _, p := range fragments(1, uint16(i), bytes.Repeat([]byte{byte(i)}, n), 1100) {
			l.tell(p)
		}
	}
	l.tell(msg(2, 0, []byte("end")))
	l.hears([]byte("end"))
	got := game.payloads(session)
	require.Len(t, got, 2)
	assert.Len(t, got[0], 16384)
	assert.Equal(t, "end", got[1])
	l.hears(make([]byte, 16384))
}

// While traffic flows each side reports what it got, and a PING tells the time.
func TestUDPReport(t *testing.T) {
	t.Parallel()
	gw := serveUDP(t)
	l := bound(t, gw)
	l.skip(100) // so that some are lost
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	deadline := time.After(patience)
	var heard sealed
	for heard.body == nil {
		select {
		case <-pace.C:
			l.tell(msg(0, 0, []byte("traffic")))
		case <-deadline:
			require.FailNow(t, "no REPORT within so long")
		}
		for _, a := range l.in.all() {
			if f := a.has(fReport); f != nil && binary.BigEndian.Uint32(f.body) >= 110 { // also of some that were not
				heard = *f
			}
		}
	}
	highest, count := binary.BigEndian.Uint32(heard.body), binary.BigEndian.Uint32(heard.body[4:])
	l.mu.Lock()
	defer l.mu.Unlock()
	assert.Less(t, uint64(highest), l.newest.sent)
	assert.Less(t, count, highest-80, "those that were left out were not received")
	assert.Greater(t, count, uint32(5))
}
