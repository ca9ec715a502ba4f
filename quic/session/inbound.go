package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	quicgo "github.com/quic-go/quic-go"

	"strait/proto/wire"
	"strait/transport"
)

const (
	// preface is the first byte of a channel stream, before the channel.
	preface    = 0x53
	prefaceLen = 2
	// firstPiece is the most memory that a header alone can claim; a longer frame's
	// buffer doubles as its bytes arrive.
	firstPiece = 4096
	// streamCost is what an open stream holds in bytes whether or not anything comes on
	// it: quic-go's state (2 KB) and its reader's stack (4 KB), with the heap's slack.
	streamCost = 8 << 10
)

// inbound is a channel stream of the peer.
type inbound struct {
	stream io.Reader
	limits wire.Limits
	one    [1]transport.Message // what is being delivered

	// atomic
	partial  atomic.Int64 // since when a frame is incomplete, Unix nanoseconds; 0: none
	buffered atomic.Int32
}

// listen lets channel streams in once the session is open. By Run's goroutine.
func (s *Session) listen() {
	if !s.listening && s.core.Opened() && s.crew.enter() {
		s.listening = true
		go s.acceptChannels()
	}
}

// acceptChannels starts a reader for each stream that the peer opens. When accept is
// cancelled it says once that all which had arrived before have theirs, and goes on.
func (s *Session) acceptChannels() {
	defer s.crew.leave()
	for ctx := s.accept; ; {
		stream, err := s.conn.AcceptUniStream(ctx)
		switch {
		case err == nil:
			s.admit(stream)
			s.countStreams(time.Now())
		case ctx == s.accept:
			close(s.admitted)
			ctx = context.Background()
		default:
			return
		}
	}
}

func (s *Session) admit(stream *quicgo.ReceiveStream) {
	if !s.crew.enter() {
		return
	}
	in := &inbound{stream: stream, limits: wire.Limits{MaxMessage: uint32(s.config.MaxMessage)}}
	s.mu.Lock()
	s.ins = append(s.ins, in)
	s.mu.Unlock()
	s.readers.Add(1)
	s.config.Pool.Charge(streamCost)
	s.config.Counters.streamsIn.Add(1)
	go s.readChannel(in)
}

func (s *Session) readChannel(in *inbound) {
	defer s.crew.leave()
	err := s.channel(in)
	if err != nil {
		s.breach("%v", err)
	}
	in.mark(false)
	s.mu.Lock()
	for i, other := range s.ins {
		if other == in {
			s.ins[i] = s.ins[len(s.ins)-1]
			s.ins[len(s.ins)-1] = nil
			s.ins = s.ins[:len(s.ins)-1]
			break
		}
	}
	s.mu.Unlock()
	s.config.Pool.Charge(-streamCost)
	s.readers.Add(-1)
	s.poke()
	// Whoever has said CLOSE discards, so that the peer is not kept from reading it.
	discardAll(in.stream)
}

// channel reads one channel's stream until its end. An error is a breach of the
// protocol; the end of the stream, of the connection or of the session is none.
func (s *Session) channel(in *inbound) error {
	var head [wire.HeaderLen]byte
	if n, err := in.fill(head[:prefaceLen], false); err != nil {
		if n == 0 && errors.Is(err, io.EOF) {
			return errors.New("a unidirectional stream without a preface: it begins with 0x53 and the channel")
		}
		return s.cut(err, "its preface")
	}
	if head[0] != preface {
		return fmt.Errorf("a unidirectional stream begins with 0x%02X: it begins with 0x53 and the channel", head[0])
	}
	channel := head[1]
	if !s.first(channel) {
		return fmt.Errorf("a second unidirectional stream for channel %d: a channel has one for the connection", channel)
	}
	for {
		in.mark(false)
		if n, err := in.fill(head[:], false); err != nil {
			if n == 0 && errors.Is(err, io.EOF) {
				return nil
			}
			return s.cut(err, "a frame's header")
		}
		h, _ := wire.ParseHeader(head[:])
		switch {
		case h.Type != wire.Data:
			return fmt.Errorf("%s on the stream of channel %d: it carries DATA alone", h.Type, channel)
		case h.Channel != channel:
			return fmt.Errorf("DATA of channel %d on the stream of channel %d", h.Channel, channel)
		}
		if err := in.limits.Check(h); err != nil {
			return err
		}
		b, err := in.payload(s.config.Pool, int(h.Length))
		if err != nil {
			return s.cut(err, "a frame's payload")
		}
		s.heard.Store(time.Now().UnixNano())
		in.one[0] = transport.Message{Delivery: transport.Reliable, Channel: channel, Buf: b}
		ok := s.deliver(in)
		in.one[0] = transport.Message{}
		if !ok {
			return nil
		}
	}
}

// cut judges an error in the middle of something.
func (s *Session) cut(err error, where string) error {
	var reset *quicgo.StreamError
	switch {
	case errors.As(err, &reset) && reset.Remote:
		return fmt.Errorf("%s reset a channel's stream: it ends with FIN", s.sender())
	case errors.Is(err, io.EOF):
		return fmt.Errorf("a channel's stream ends in the middle of %s", where)
	}
	return nil
}

// first notes that the peer has opened a stream for channel; false: it had before.
func (s *Session) first(channel uint8) bool {
	word, bit := &s.seen[channel/64], uint64(1)<<(channel%64)
	s.mu.Lock()
	defer s.mu.Unlock()
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	return true
}

// fill reads all of p. Between frames nothing is partial until a first byte is there.
func (in *inbound) fill(p []byte, inside bool) (n int, err error) {
	for n < len(p) {
		k, err := in.stream.Read(p[n:])
		if n += k; n == len(p) {
			break // an error comes again
		}
		if k > 0 && !inside {
			in.mark(true)
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// payload reads n bytes into a buffer that grows as they arrive.
func (in *inbound) payload(pool *transport.Pool, n int) (*transport.Buf, error) {
	b := pool.Get(min(n, firstPiece))
	got := 0
	for {
		for got < len(b.B) {
			k, err := in.stream.Read(b.B[got:])
			if got += k; got < n {
				in.mark(true) // before buffered: who sees that knows since when
				in.buffered.Store(int32(len(b.B)))
				if err != nil {
					b.Release()
					return nil, err
				}
			}
		}
		if got == n {
			return b, nil
		}
		grown := pool.Get(min(n, 2*len(b.B)))
		copy(grown.B, b.B)
		b.Release()
		b = grown
	}
}

// mark notes since when a frame is incomplete, or that none is.
func (in *inbound) mark(partial bool) {
	switch {
	case !partial:
		if in.partial.Load() != 0 {
			in.partial.Store(0)
			in.buffered.Store(0)
		}
	case in.partial.Load() == 0:
		in.partial.Store(time.Now().UnixNano())
	}
}

// scraps is what discarded input is read into.
var scraps = sync.Pool{New: func() any { b := make([]byte, 4096); return &b }}

// discardAll reads until nothing more comes.
func discardAll(r io.Reader) {
	b := scraps.Get().(*[]byte)
	defer scraps.Put(b)
	for {
		if _, err := r.Read(*b); err != nil {
			return
		}
	}
}
