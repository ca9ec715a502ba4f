package session

import (
	"errors"
	"sync"
	"time"

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

	// owned by the worker
	begun bool    // the preface was written
	left  *[]byte // encoded and not written, as it would have blocked; nil: nothing
	ahead credit
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
	o.worker = worker{crew: &s.crew, body: o.write, direct: o.writeNow}
	if s.outs == nil {
		s.outs = make(map[uint8]*outbound)
	}
	s.outs[channel] = o
	s.newest = time.Now()
	s.config.Counters.streamsOut.Add(1)
	return o
}

// write writes the channel's messages until none is left or writing failed.
func (o *outbound) write() {
	defer o.s.crew.leave()
	b := o.left
	o.left = nil
	if b == nil {
		b = o.fill(channelChunk)
	}
	for b != nil && !o.s.discard.Load() {
		_, err := o.stream.Write(*b)
		if err != nil {
			var stop *quicgo.StreamError
			if errors.As(err, &stop) && stop.Remote {
				o.s.breach("%s stopped the stream of channel %d: it ends with its sender's FIN", o.s.sender(), o.channel)
			}
			break
		}
		o.ahead.confirmed()
		putBuffer(b)
		b = o.fill(channelChunk)
	}
	if b != nil {
		putBuffer(b)
		o.worker.stop()
		o.settled()
	}
}

// fill encodes what there is to write, about limit bytes; nil: nothing, and the worker
// rests. By the worker.
func (o *outbound) fill(limit int) *[]byte {
	ms := pulls.Get().(*[]transport.Message)
	defer putPull(ms)
	for {
		if *ms = o.s.peer.Pull((*ms)[:0], transport.Reliable, int(o.channel), limit); len(*ms) > 0 {
			break
		}
		rest := o.worker.rest()
		if rest || o.s.ending.Load() != nil {
			o.settled()
		}
		if rest {
			return nil
		}
	}
	b := getBuffer()
	out := *b
	if !o.begun {
		o.begun = true
		out = append(out, preface, o.channel)
	}
	for _, m := range *ms {
		out = wire.AppendFrame(out, wire.Data, o.channel, m.Buf.B)
		m.Buf.Release()
	}
	*b = out
	return b
}

// writeNow is the worker as far as it does not block.
func (o *outbound) writeNow() bool {
	for !o.s.discard.Load() && o.ahead.room() {
		b := o.fill(directChunk)
		if b == nil {
			return true
		}
		if !o.ahead.write(o.stream, *b) {
			o.left = b
			break
		}
		putBuffer(b)
	}
	return false
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
