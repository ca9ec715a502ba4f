package e2e

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"

	quicgo "github.com/quic-go/quic-go"
	"github.com/stretchr/testify/assert"
)

// way is what a frame arrived on.
type way byte

const (
	onControl way = iota
	onStream      // of its channel
	byDatagram
)

// heard is a frame or a datagram that a player got, or the end of a stream.
type heard struct {
	way way
	frame
	seq uint16 // of an unreliable message
	end error  // the stream ended, io.EOF is FIN; there is no frame
}

// readControl reads frames up to the end.
func (p *quicPlayer) readControl() {
	in := bufio.NewReader(p.control)
	closed := false
	for first := true; ; first = false {
		f, err := readFrame(in)
		if err != nil {
			p.in.add(heard{way: onControl, end: err})
			return
		}
		assert.False(p.t, closed, "a frame of type %#x behind CLOSE", f.typ)
		assert.Zero(p.t, f.flags, "flags are sent as 0")
		assert.True(p.t, first == (f.typ == tServerHello) || f.typ == tClose, "a frame of type %#x, first: %v", f.typ, first)
		switch f.typ {
		case tPing:
			assert.Len(p.t, f.payload, 8)
			if !p.setup.mute {
				p.answer(raw(tPong, append(f.payload, 0, 0, 0, 0)))
			}
			continue
		case tClose:
			closed = true
			p.in.add(heard{way: onControl, frame: f})
			if !p.setup.silent {
				p.answer(closing(cNormal, "goodbye"))
				p.finish()
			}
			continue
		}
		p.in.add(heard{way: onControl, frame: f})
	}
}

// answer is write by one who reads: a connection that has ended takes nothing.
func (p *quicPlayer) answer(b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = p.control.Write(b)
}

// finish sends FIN on all streams.
func (p *quicPlayer) finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.control.Close()
	for _, s := range p.mine {
		_ = s.Close()
	}
}

func readFrame(r io.Reader) (frame, error) {
	var h [6]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return frame{}, err
	}
	f := frame{typ: h[3], channel: h[4], flags: h[5]}
	f.payload = make([]byte, int(h[0])<<16|int(h[1])<<8|int(h[2]))
	_, err := io.ReadFull(r, f.payload)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return f, err
}

// readStreams takes the channel streams of the gateway.
func (p *quicPlayer) readStreams() {
	for {
		s, err := p.conn.AcceptUniStream(context.Background())
		if err != nil {
			return
		}
		p.reading.Go(func() { p.readStream(s) })
	}
}

func (p *quicPlayer) readStream(s *quicgo.ReceiveStream) {
	var begin [2]byte
	if _, err := io.ReadFull(s, begin[:]); err != nil {
		if p.conn.Context().Err() == nil {
			assert.NoError(p.t, err, "the preface of a channel stream")
		}
		return
	}
	channel := begin[1]
	assert.EqualValues(p.t, preface, begin[0], "the preface")
	assert.NotZero(p.t, channel, "channel 0 is on the control stream")
	p.mu.Lock()
	_, twice := p.yours[channel]
	p.yours[channel] = s
	p.mu.Unlock()
	assert.False(p.t, twice, "a second stream for channel %d", channel)
	if p.setup.unread[channel] {
		return
	}
	in := bufio.NewReader(s)
	for {
		f, err := readFrame(in)
		if err != nil {
			p.in.add(heard{way: onStream, frame: frame{channel: channel}, end: err})
			return
		}
		assert.EqualValues(p.t, tData, f.typ, "a channel stream carries DATA")
		assert.Equal(p.t, channel, f.channel, "of its channel")
		assert.Zero(p.t, f.flags)
		p.in.add(heard{way: onStream, frame: f})
	}
}

func (p *quicPlayer) readDatagrams() {
	for {
		b, err := p.conn.ReceiveDatagram(context.Background())
		if err != nil {
			return
		}
		if assert.GreaterOrEqual(p.t, len(b), 4) && assert.EqualValues(p.t, bodyMessage, b[0]) {
			p.in.add(heard{way: byDatagram, frame: frame{typ: b[0], channel: b[1], payload: b[4:]}, seq: binary.BigEndian.Uint16(b[2:])})
		}
	}
}
