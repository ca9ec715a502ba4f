package lane_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"strait/proto/wire"
	"strait/transport"
	"strait/transport/lane"
	"strait/transport/outbox"
)

// mirror is a peer that sends every message back.
type mirror struct {
	core *lane.Core
	out  outbox.Queue
}

func newMirror(t testing.TB) *mirror {
	m := &mirror{}
	m.out.Init(outbox.Config{})
	m.core = lane.New(lane.Config{Pool: transport.NewPool(0, nil)}, m)
	feed(t, m.core, frame(wire.ClientHello, 0, ""))
	return m
}

func (m *mirror) Hello([]byte)                            { m.core.Control(transport.ControlServerHello, nil) }
func (m *mirror) Control(transport.Control, []byte) error { return nil }
func (m *mirror) Closing(transport.Reason)                {}
func (m *mirror) Gone(transport.Reason)                   {}

func (m *mirror) Deliver(ms []transport.Message) int {
	for _, one := range ms {
		_, _ = m.out.Push(one)
	}
	return len(ms)
}

func (m *mirror) Channels(dst []uint8) []uint8 { return m.out.Channels(dst) }

func (m *mirror) Pull(dst []transport.Message, d transport.Delivery, channel, budget int) []transport.Message {
	return m.out.Pull(dst, d, channel, budget)
}

// turn takes in and writes what there is to write to dst.
func (m *mirror) turn(in, dst []byte) (n int) {
	_, _ = m.core.Feed(in, t0)
	for {
		out, _ := m.core.Fill(dst[:0], 16384, t0)
		if len(out) == 0 {
			m.core.Idle()
			return n
		}
		n += len(out)
	}
}

func TestSteadyStateDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool forget on purpose")
	}
	dst := make([]byte, 0, 32768)
	for name, in := range map[string][]byte{
		"one message":   frame(wire.Data, 1, string(make([]byte, 64))),
		"three":         join(frame(wire.Data, 1, "a"), frame(wire.Data, 2, "b"), frame(wire.Data, 3, "c")),
		"an unreliable": wire.AppendUnreliable(nil, 1, 7, make([]byte, 64)),
		"a ping":        pingFrame(1),
	} {
		t.Run(name, func(t *testing.T) {
			m := newMirror(t)
			m.turn(nil, dst)
			require.Positive(t, m.turn(in, dst))
			require.Zero(t, testing.AllocsPerRun(200, func() { m.turn(in, dst) }))
		})
	}
	t.Run("by Space", func(t *testing.T) {
		m := newMirror(t)
		in := frame(wire.Data, 1, "hello")
		require.Zero(t, testing.AllocsPerRun(200, func() {
			for rest := in; len(rest) > 0; {
				n := copy(m.core.Space(), rest)
				_ = m.core.Advance(n, t0)
				rest = rest[n:]
			}
			m.turn(nil, dst)
		}))
	})
}

// One 64-byte message read by Feed, queued, pulled and written.
func BenchmarkEcho64(b *testing.B) {
	m, dst := newMirror(b), make([]byte, 0, 32768)
	in := frame(wire.Data, 1, string(make([]byte, 64)))
	b.ReportAllocs()
	for b.Loop() {
		m.turn(in, dst)
	}
}

// 32 messages of 64 bytes, read by one Feed.
func BenchmarkEcho64Batch32(b *testing.B) {
	m, dst := newMirror(b), make([]byte, 0, 32768)
	var in []byte
	for range 32 {
		in = append(in, frame(wire.Data, 1, string(make([]byte, 64)))...)
	}
	b.ReportAllocs()
	for b.Loop() {
		m.turn(in, dst)
	}
}
