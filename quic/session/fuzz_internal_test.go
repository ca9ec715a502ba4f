package session

import (
	"bytes"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"strait/proto/wire"
	"strait/transport"
)

// sink is a peer that takes everything and keeps what it was given.
type sink struct {
	transport.Peer
	got []transport.Message
}

func (s *sink) Deliver(ms []transport.Message) int {
	s.got = append(s.got, ms...)
	return len(ms)
}

func (s *sink) release() {
	for _, m := range s.got {
		m.Buf.Release()
	}
}

// blank is a session without a connection: enough for what arrives.
func blank(p transport.Peer) *Session {
	s := &Session{config: Config{Pool: transport.NewPool(0, nil), MaxMessage: 20000}.withDefaults(), peer: p}
	s.phase.Store(opened)
	return s
}

// FuzzChannel reads any bytes as a channel stream: the messages that come out are those
// of its whole frames, and there is a reason where the stream does not end well.
func FuzzChannel(f *testing.F) {
	one := wire.AppendFrame(nil, wire.Data, 3, []byte("a message"))
	f.Add([]byte{preface, 3})
	f.Add(append([]byte{preface, 3}, one...))
	f.Add(append(append([]byte{preface, 3}, one...), one[:8]...))
	f.Add(append([]byte{preface, 4}, one...))
	f.Add(append([]byte{preface, 3}, wire.AppendFrame(nil, wire.Data, 3, make([]byte, 9000))...))
	f.Add(append([]byte{preface, 0}, wire.AppendHeader(nil, wire.Header{Type: wire.Data, Length: wire.MaxFrameLen})...))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var first error
		for i, r := range []func([]byte) *inbound{
			func(b []byte) *inbound { return &inbound{stream: bytes.NewReader(b)} },
			func(b []byte) *inbound { return &inbound{stream: iotest.OneByteReader(bytes.NewReader(b))} },
			func(b []byte) *inbound { return &inbound{stream: iotest.DataErrReader(bytes.NewReader(b))} },
		} {
			p := new(sink)
			s := blank(p)
			in := r(b)
			in.limits = wire.Limits{MaxMessage: uint32(s.config.MaxMessage)}
			err := s.channel(in)
			if i == 0 {
				first = err
			}
			require.Equal(t, first, err, "however the bytes come")
			rest := b
			if len(p.got) > 0 {
				rest = rest[prefaceLen:]
			}
			for _, m := range p.got {
				whole := wire.AppendFrame(nil, wire.Data, b[1], m.Buf.B)
				require.Equal(t, whole[wire.HeaderLen:], rest[wire.HeaderLen:len(whole)])
				rest = rest[len(whole):]
			}
			if err == nil {
				require.True(t, len(rest) == 0 || len(p.got) == 0 && len(rest) == prefaceLen, "%d bytes are left", len(rest))
			} else {
				require.LessOrEqual(t, len(err.Error()), wire.MaxReason)
			}
			p.release()
			require.Zero(t, s.config.Pool.Live())
		}
	})
}

// FuzzDatagram takes any bytes as a datagram's body.
func FuzzDatagram(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{bodyMessage, 1, 2})
	f.Add([]byte{bodyMessage, 1, 0x12, 0x34})
	f.Add([]byte{bodyMessage, 255, 255, 255, 'x'})
	f.Add([]byte{0x11, 1, 0, 0, 'x'})
	f.Fuzz(func(t *testing.T, b []byte) {
		p := new(sink)
		s := blank(p)
		s.take(b, make([]transport.Message, 1), time.Now())
		stats := s.config.Counters.Stats()
		if len(b) < bodyHeader || b[0] != bodyMessage {
			require.Empty(t, p.got)
			require.EqualValues(t, 1, stats.Dropped[DropMalformed])
			return
		}
		require.Len(t, p.got, 1)
		m := p.got[0]
		require.Equal(t, b, append([]byte{bodyMessage, m.Channel, byte(m.Seq >> 8), byte(m.Seq)}, m.Buf.B...))
		require.Equal(t, transport.Unreliable, m.Delivery)
		p.release()
		require.Zero(t, s.config.Pool.Live())
	})
}
