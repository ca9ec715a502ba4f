package tcp_test

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"strait/proto/wire"
	"strait/transport"
	"strait/transport/outbox"
)

// echo is the smallest session: it opens at once and sends back what comes.
type echo struct {
	conn transport.Conn
	out  outbox.Queue
}

func newEcho(c transport.Conn) *echo {
	e := &echo{conn: c}
	e.out.Init(outbox.Config{})
	return e
}

func (e *echo) Hello([]byte) { e.conn.Control(transport.ControlServerHello, nil) }

func (e *echo) Control(transport.Control, []byte) error { return nil }

func (e *echo) Deliver(ms []transport.Message) int {
	for _, m := range ms {
		if _, err := e.out.Push(m); err != nil {
			e.conn.Close(transport.Reason{Code: transport.TooSlow})
		}
	}
	e.conn.Wake()
	return len(ms)
}

func (e *echo) Channels(dst []uint8) []uint8 { return e.out.Channels(dst) }

func (e *echo) Pull(dst []transport.Message, d transport.Delivery, channel, budget int) []transport.Message {
	return e.out.Pull(dst, d, channel, budget)
}

func (e *echo) Closing(transport.Reason) {}
func (e *echo) Gone(transport.Reason)    { e.out.Drop() }

// roundTrip opens a session and sends n messages, each after the one before came back.
func roundTrip(t testing.TB, s io.ReadWriter, n int) {
	_, err := s.Write(wire.AppendFrame(nil, wire.ClientHello, 0, nil))
	require.NoError(t, err)
	_, err = io.ReadFull(s, make([]byte, wire.HeaderLen))
	require.NoError(t, err)
	ping := newPing()
	for range n {
		require.NoError(t, ping.once(s))
	}
}

type pinger struct{ frame, back []byte }

func newPing() *pinger {
	f := wire.AppendFrame(nil, wire.Data, 1, make([]byte, 64))
	return &pinger{f, make([]byte, len(f))}
}

func (p *pinger) once(s io.ReadWriter) error {
	if _, err := s.Write(p.frame); err != nil {
		return err
	}
	_, err := io.ReadFull(s, p.back)
	return err
}
