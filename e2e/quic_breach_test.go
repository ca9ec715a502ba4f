package e2e

import (
	"io"
	"testing"
	"time"

	quicgo "github.com/quic-go/quic-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// onNewStream opens a unidirectional stream that begins with any bytes.
func (p *quicPlayer) onNewStream(b ...[]byte) *quicgo.SendStream {
	p.t.Helper()
	s, err := p.conn.OpenUniStream()
	require.NoError(p.t, err)
	for _, b := range b {
		_, err = s.Write(b)
		require.NoError(p.t, err)
	}
	return s
}

// quicBreaches are the protocol errors of WIRE.md section 5.
var quicBreaches = []struct {
	name string
	do   func(*quicPlayer)
	says string // what a person must find in the reason
}{
	{"a second bidirectional stream", func(p *quicPlayer) {
		s, err := p.conn.OpenStream()
		require.NoError(p.t, err)
		_, err = s.Write(clientHello())
		require.NoError(p.t, err)
		p.keepsTalking(p.control, 0)
	}, "bidirectional"},
	{"a wrong preface", func(p *quicPlayer) { p.onNewStream([]byte{preface + 1, 1}, data(1, nil)) }, "0x54"},
	{"a frame in place of the preface", func(p *quicPlayer) { p.onNewStream(data(1, []byte("x"))) }, "0x53"},
	{"a stream that ends without preface", func(p *quicPlayer) {
		s, err := p.conn.OpenUniStream()
		require.NoError(p.t, err)
		require.NoError(p.t, s.Close())
	}, "preface"},
	{"a stream that ends within the preface", func(p *quicPlayer) {
		s, err := p.conn.OpenUniStream()
		require.NoError(p.t, err)
		_, err = s.Write([]byte{preface})
		require.NoError(p.t, err)
		require.NoError(p.t, s.Close())
	}, "preface"},
	{"a second stream for a channel", func(p *quicPlayer) {
		p.say(5, []byte("first"))
		p.onNewStream([]byte{preface, 5})
	}, "channel 5"},
	{"a second stream for a channel whose first has ended", func(p *quicPlayer) {
		p.say(5, []byte("first"))
		p.hears(onStream, 5, []byte("first"))
		require.NoError(p.t, p.stream(5).Close())
		p.onNewStream([]byte{preface, 5}, data(5, nil))
	}, "channel 5"},
	{"DATA of another channel", func(p *quicPlayer) { p.onNewStream([]byte{preface, 5}, data(6, []byte("x"))) }, "channel 6"},
	{"DATA of channel 0", func(p *quicPlayer) { p.onNewStream([]byte{preface, 5}, data(0, []byte("x"))) }, "channel 0"},
	{"PING on a channel stream", func(p *quicPlayer) { p.onNewStream([]byte{preface, 5}, raw(tPing, make([]byte, 8))) }, "PING"},
	{"CLOSE on a channel stream", func(p *quicPlayer) { p.onNewStream([]byte{preface, 5}, closing(0, "bye")) }, "CLOSE"},
	{"CLIENT_HELLO on a channel stream", func(p *quicPlayer) { p.onNewStream([]byte{preface, 5}, clientHello()) }, "CLIENT_HELLO"},
	{"DATA_UNRELIABLE on a channel stream", func(p *quicPlayer) { p.onNewStream([]byte{preface, 5}, unreliable(5, 0, nil)) }, "DATA_UNRELIABLE"},
	{"DATA above its limit on a channel stream, header alone", func(p *quicPlayer) {
		b := header(tData, maxMessage+1)
		b[4] = 5
		p.onNewStream([]byte{preface, 5}, b)
	}, "65536"},
	{"a reset of a channel stream in a message", func(p *quicPlayer) {
		s := p.stream(5)
		_, err := s.Write(data(5, make([]byte, 1000))[:500])
		require.NoError(p.t, err)
		p.plays()
		s.CancelWrite(77)
	}, "reset"},
	{"a reset of a channel stream between messages", func(p *quicPlayer) {
		p.say(5, []byte("whole"))
		p.hears(onStream, 5, []byte("whole"))
		p.stream(5).CancelWrite(77)
	}, "reset"},
	{"a channel stream that ends in a message", func(p *quicPlayer) {
		s := p.stream(5)
		_, err := s.Write(data(5, make([]byte, 1000))[:500])
		require.NoError(p.t, err)
		require.NoError(p.t, s.Close())
	}, "ends in the middle"},
	{"a reset of the control stream", func(p *quicPlayer) { p.control.CancelWrite(77) }, "reset"},
	{"a reset of the control stream in a message", func(p *quicPlayer) {
		p.write(data(0, make([]byte, 1000))[:500])
		p.playsOnAStream()
		p.control.CancelWrite(77)
	}, "reset"},
	{"a gateway's channel stream that is stopped", func(p *quicPlayer) {
		p.say(5, []byte("open yours"))
		p.hears(onStream, 5, []byte("open yours"))
		p.mu.Lock()
		yours := p.yours[5]
		p.mu.Unlock()
		yours.CancelRead(77)
		p.keepsTalking(p.stream(5), 5)
	}, "stopped"},
}

func closes(h heard) bool { return h.way == onControl && (h.typ == tClose || h.end != nil) }

// keepsTalking sends messages until the gateway has had enough.
func (p *quicPlayer) keepsTalking(stream io.Writer, channel byte) {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline) && p.in.count(closes) == 0; {
		p.mu.Lock()
		_, _ = stream.Write(data(channel, []byte("still here")))
		p.mu.Unlock()
		<-time.After(2 * time.Millisecond)
	}
}

// playsOnAStream is a round trip on a channel stream alone.
func (p *quicPlayer) playsOnAStream() {
	p.t.Helper()
	mark := []byte(fenceMark())
	p.say(201, mark)
	p.hears(onStream, 201, mark)
}

// Each gets CLOSE PROTOCOL_ERROR and the application error code, and nobody else
// notices.
func TestQUICBreaches(t *testing.T) {
	t.Parallel()
	gw := serveQUIC(t)
	other, overTCP := accompanyQUIC(t, gw), accompany(t, gw)
	for _, b := range quicBreaches {
		t.Run(b.name, func(t *testing.T) {
			p := joinQUIC(t, gw, quicSetup{})
			b.do(p)
			assert.Contains(t, p.expectClose(cProtocolError).Reason, b.says)
			other.undisturbed(t)
		})
	}
	// Who stops the control stream cannot be told but by the code.
	p := joinQUIC(t, gw, quicSetup{})
	p.control.CancelRead(77)
	p.write(raw(tPing, make([]byte, 8)))
	assert.Contains(t, p.expectCode(cProtocolError).ErrorMessage, "stopped")
	gw.reaches(end("PROTOCOL_ERROR"), float64(len(quicBreaches)+1))
	gw.falls("strait_quic_connections", 1)
	overTCP.undisturbed(t)
}

// What section 2 says of frames holds on the control stream.
func TestQUICBreachesOfFrames(t *testing.T) {
	t.Parallel()
	gw := serveQUIC(t)
	other := accompanyQUIC(t, gw)
	for _, stage := range []struct {
		name     string
		enter    func(testing.TB, *process, quicSetup) *quicPlayer
		breaches []breach
	}{{"before the hello", connectQUIC, unopened}, {"in a session", joinQUIC, opened}} {
		for _, b := range stage.breaches {
			t.Run(stage.name+": "+b.name, func(t *testing.T) {
				p := stage.enter(t, gw, quicSetup{})
				p.write(b.send)
				c := p.expectClose(cProtocolError)
				assert.Contains(t, c.Reason, b.says)
			})
		}
	}
	other.undisturbed(t)
}

// A second bidirectional stream is noticed soon, also when nothing else is sent.
func TestQUICSilentSecondStream(t *testing.T) {
	t.Parallel()
	p := joinQUIC(t, serveQUIC(t, "STRAIT_IDLE_TIMEOUT=5m"), quicSetup{}) // a PING would come after 100 s
	s, err := p.conn.OpenStream()
	require.NoError(t, err)
	_, err = s.Write([]byte("x"))
	require.NoError(t, err)
	p.expectClose(cProtocolError)
}

// FIN at the end of a message ends a channel stream well: the session goes on.
func TestQUICChannelStreamMayEnd(t *testing.T) {
	t.Parallel()
	p := joinQUIC(t, serveQUIC(t), quicSetup{})
	p.say(5, []byte("last"))
	require.NoError(t, p.stream(5).Close())
	p.hears(onStream, 5, []byte("last"))
	p.write(data(5, []byte("by the control stream")))
	p.hears(onStream, 5, []byte("by the control stream"))
	p.plays()
}

// Streams on which nothing comes cost the gateway memory all the same: they count in its
// budget, and who holds the most of them goes first.
func TestQUICSilentStreamsCount(t *testing.T) {
	t.Parallel()
	gw := serveQUIC(t, "STRAIT_BUFFER_BUDGET_BYTES=5000000")
	modest := joinQUIC(t, gw, quicSetup{})
	modest.say(1, []byte("one stream"))
	var greedy []*quicPlayer
	for range 4 {
		p := joinQUIC(t, gw, quicSetup{})
		for channel := 1; channel < 256; channel++ {
			p.stream(byte(channel))
		}
		greedy = append(greedy, p)
	}
	gw.reaches(`strait_session_ends_total{code="OVERLOADED"}`, 2)
	closed := 0
	for _, p := range greedy {
		if p.conn.Context().Err() != nil {
			closed++
		}
	}
	assert.Less(t, closed, len(greedy), "no more than needed")
	gw.falls("strait_buffer_bytes", 5_000_000)
	modest.hears(onStream, 1, []byte("one stream"))
	modest.plays()
}
