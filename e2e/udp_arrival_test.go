package e2e

import (
	"bytes"
	"encoding/binary"
	"time"

	"github.com/stretchr/testify/assert"
	"google.golang.org/protobuf/proto"

	"strait/proto/straitv1"
)

// arrival is one datagram.
type arrival struct {
	on     *socket
	raw    []byte
	kind   byte
	epoch  byte
	number uint64
	frames []sealed
	bad    string // why it counts for nothing
}

// said is an unreliable message.
type said struct {
	on      *socket // nil: by DATA_UNRELIABLE
	channel byte
	seq     uint16
	payload []byte
	pieces  int // 1 unless it came in fragments
}

type assembly struct {
	pieces [][]byte
	have   int
}

// has is the first frame of a type, or nil.
func (a arrival) has(typ byte) *sealed {
	for i := range a.frames {
		if a.frames[i].typ == typ {
			return &a.frames[i]
		}
	}
	return nil
}

// accepts matches an ACCEPT at a socket.
func accepts(s *socket) func(arrival) bool {
	return func(a arrival) bool { return a.on == s && a.has(fAccept) != nil }
}

func resets(a arrival) bool { return a.kind == uReset }

// hears awaits an unreliable message by its payload, from an index of l.said.
func (l *lane) hears(payload []byte) said {
	l.t.Helper()
	return l.said.await(l.t, "the message "+string(payload[:min(40, len(payload))]), func(s said) bool { return bytes.Equal(s.payload, payload) })
}

// times counts an unreliable message by its payload.
func (l *lane) times(payload []byte) int {
	return l.said.count(func(s said) bool { return bytes.Equal(s.payload, payload) })
}

// listen reads the connection.
func (l *lane) listen() {
	defer close(l.ended)
	for {
		f, err := l.p.next()
		if err != nil {
			return
		}
		switch f.typ {
		case tDataUnreliable:
			l.said.add(said{nil, f.channel, binary.BigEndian.Uint16(f.payload), f.payload[2:], 1})
			continue
		case tUDPOffer:
			o := new(straitv1.UdpOffer)
			if err := proto.Unmarshal(f.payload, o); err != nil {
				l.t.Errorf("UDP_OFFER: %v", err)
			} else if err := l.take(o); err != nil {
				l.t.Errorf("UDP_OFFER: %v", err)
			}
		}
		l.stream.add(f)
	}
}

// frame awaits a frame of the connection, but PING and DATA_UNRELIABLE.
func (l *lane) frame(typ byte) frame {
	l.t.Helper()
	return l.stream.await(l.t, "a frame", func(f frame) bool { return f.typ == typ })
}

// plays does one round trip on the reliable lane.
func (l *lane) plays() {
	l.t.Helper()
	mark := []byte(fenceMark())
	l.p.write(data(200, mark))
	l.stream.await(l.t, "an echo on the reliable lane", func(f frame) bool { return f.typ == tData && bytes.Equal(f.payload, mark) })
}

// listen reads a socket until it is closed.
func (s *socket) listen() {
	b := make([]byte, 65536)
	for {
		n, from, err := s.conn.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		if from.Port() != s.to.Port() && !bytes.HasPrefix(b[:n], []byte(endMark)) {
			continue // for who had this port before: such as QUIC of another test
		}
		s.l.arrived(s, bytes.Clone(b[:n]))
	}
}

// arrived judges one datagram.
func (l *lane) arrived(s *socket, raw []byte) {
	a := arrival{on: s, raw: raw}
	// What was answered from here before is in sent, so that this errs on the
	// gateway's side.
	if got := s.received.Add(int64(len(raw))); !s.proven.Load() {
		assert.LessOrEqual(l.t, got, s.sent.Load(), "bytes to an address that has not answered a challenge, and bytes from it")
	}
	l.judge(&a)
	if c := a.has(fPathChallenge); c != nil && !l.mute.Load() && !s.mute.Load() {
		answer := l.seal(pathResponse(c.body))
		s.proven.Store(true)
		s.sent.Add(int64(len(answer)))
		_, _ = s.conn.WriteToUDPAddrPort(answer, s.to)
	}
	if p := a.has(fPing); p != nil && !s.mute.Load() {
		answer := l.sealAs(raw[0], append([]byte{fPong}, append(bytes.Clone(p.body), 0, 0, 0, 0)...))
		s.sent.Add(int64(len(answer)))
		_, _ = s.conn.WriteToUDPAddrPort(answer, s.to)
	}
	l.in.add(a)
}

// judge opens a datagram, and reports what a gateway must not send.
func (l *lane) judge(a *arrival) {
	if bytes.HasPrefix(a.raw, []byte(endMark)) {
		a.bad = "the test's own"
		return
	}
	if len(a.raw) == 0 || len(a.raw) > helloBytes || a.raw[0]&0xf0 != 0x10 {
		assert.Fail(l.t, "not a datagram of a gateway", "%d bytes %.40x", len(a.raw), a.raw)
		a.bad = "no packet"
		return
	}
	a.kind = a.raw[0] & 7
	l.mu.Lock()
	defer l.mu.Unlock()
	switch a.kind {
	case uRetry:
		assert.Len(l.t, a.raw, 33, "RETRY")
	case uReset:
		assert.Len(l.t, a.raw, 25, "RESET")
	case uData:
		e := l.epochs[a.raw[0]>>3&1]
		if e == nil {
			a.bad = "no such epoch"
			assert.Fail(l.t, "DATA of an epoch that was not offered")
			return
		}
		number, plain, err := e.keys.openDown(l.offer.Cid, a.raw, e.next)
		if err != nil {
			a.bad = err.Error()
			assert.Fail(l.t, "DATA that does not open", "%v: %x", err, a.raw)
			return
		}
		a.epoch, a.number = e.keys.epoch, number
		assert.False(l.t, e.seen[number], "packet number %d of epoch %d is used twice", number, a.epoch)
		e.seen[number] = true
		e.next = max(e.next, number+1)
		a.frames, err = parseDown(plain)
		assert.NoError(l.t, err, "frames of a gateway")
		for _, f := range a.frames {
			l.note(a.on, f)
		}
	default:
		assert.Fail(l.t, "a packet type that no gateway sends", "%d", a.kind)
	}
}

// note writes messages down, whole.
func (l *lane) note(on *socket, f sealed) {
	switch f.typ {
	case fMsg:
		l.said.add(said{on, f.channel, f.seq, f.body, 1})
	case fFragment:
		key := [3]byte{f.channel, byte(f.seq >> 8), byte(f.seq)}
		w := l.whole[key]
		if w == nil {
			w = &assembly{pieces: make([][]byte, f.count)}
			l.whole[key] = w
		}
		if len(w.pieces) != int(f.count) || w.pieces[f.index] != nil {
			assert.Fail(l.t, "a fragment that does not fit the others")
			return
		}
		w.pieces[f.index] = append([]byte{}, f.body...)
		if w.have++; w.have == len(w.pieces) {
			l.said.add(said{on, f.channel, f.seq, bytes.Join(w.pieces, nil), w.have})
			delete(l.whole, key)
		}
	}
}

// within is await for what may not happen: ok says whether it did in time.
func (j *journal[T]) within(d time.Duration, from int, match func(T) bool) (v T, ok bool) {
	deadline := time.NewTimer(d)
	defer deadline.Stop()
	for {
		j.mu.Lock()
		for ; from < len(j.items); from++ {
			if match(j.items[from]) {
				v = j.items[from]
				j.mu.Unlock()
				return v, true
			}
		}
		if j.grown == nil {
			j.grown = make(chan struct{})
		}
		grown := j.grown
		j.mu.Unlock()
		select {
		case <-grown:
		case <-deadline.C:
			return v, false
		}
	}
}
