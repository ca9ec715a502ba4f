package session

import (
	"errors"
	"sync"

	quicgo "github.com/quic-go/quic-go"

	"strait/proto/wire"
	"strait/transport"
)

// channelChunk is about how much of a channel is encoded for one write. It is what a
// channel that the peer does not read holds beyond the session's own queue.
const channelChunk = 4 << 10

// pulls are what Peer.Pull appends to.
var pulls = sync.Pool{New: func() any { s := make([]transport.Message, 0, 16); return &s }}

func putPull(ms *[]transport.Message) {
	clear(*ms)
	*ms = (*ms)[:0]
	pulls.Put(ms)
}

// outbound is this end's stream for a channel.
type outbound struct {
	s       *Session
	channel uint8
	stream  *quicgo.SendStream
	worker  worker
	begun   bool // the preface was written; owned by the worker
}

// outbound returns the stream of a channel, which it opens at first use; nil: the
// channel uses the control stream.
func (s *Session) outbound(channel uint8) *outbound {
	if channel == 0 || s.shared[channel/64].Load()&(1<<(channel%64)) != 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.outs[channel]; o != nil {
		return o
	}
	stream, err := s.conn.OpenUniStream()
	if err != nil {
		// No credit, or the connection has ended. The choice stays: were a later
		// message to find credit, it could overtake one on the control stream.
		s.shared[channel/64].Or(1 << (channel % 64))
		s.config.Counters.shared.Add(1)
		return nil
	}
	o := &outbound{s: s, channel: channel, stream: stream}
	o.worker.crew, o.worker.body = &s.crew, o.write
	if s.outs == nil {
		s.outs = make(map[uint8]*outbound)
	}
	s.outs[channel] = o
	s.config.Counters.streamsOut.Add(1)
	return o
}

// write writes the channel's messages until none is left or writing failed.
func (o *outbound) write() {
	defer o.s.crew.leave()
	b := getBuffer()
	defer putBuffer(b)
	ms := pulls.Get().(*[]transport.Message)
	defer putPull(ms)
	for {
		if o.s.discard.Load() {
			break
		}
		*ms = o.s.peer.Pull((*ms)[:0], transport.Reliable, int(o.channel), channelChunk)
		if len(*ms) == 0 {
			rest := o.worker.rest()
			if rest || o.s.ending.Load() != nil {
				o.settled()
			}
			if rest {
				return
			}
			continue
		}
		out := (*b)[:0]
		if !o.begun {
			o.begun = true
			out = append(out, preface, o.channel)
		}
		for _, m := range *ms {
			out = wire.AppendFrame(out, wire.Data, o.channel, m.Buf.B)
			m.Buf.Release()
		}
		*b = out[:0]
		if _, err := o.stream.Write(out); err != nil {
			var stop *quicgo.StreamError
			if errors.As(err, &stop) && stop.Remote {
				o.s.breach("%s stopped the stream of channel %d: it ends with its sender's FIN", o.s.sender(), o.channel)
			}
			break
		}
	}
	o.worker.stop()
	o.settled()
}

// settled tells who waits for the channels' writers.
func (o *outbound) settled() {
	if o.s.ending.Load() == nil && !o.s.core.Closing() {
		return
	}
	select {
	case o.s.drained <- struct{}{}:
	default:
	}
}
