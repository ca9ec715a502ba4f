package e2e

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	quicgo "github.com/quic-go/quic-go"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"strait/proto/straitv1"
)

// Of WIRE.md section 5.
const (
	preface     = 0x53 // a channel stream begins with it and the channel
	bodyMessage = 0x10 // a DATAGRAM begins with it
)

// quicPlayer is a client on QUIC, written from WIRE.md section 5; only the QUIC stack
// is not its own. What it gets is read at once, checked against the page and written
// down. By itself it does what the page asks of a client: it answers PINGs and CLOSE.
type quicPlayer struct {
	t       testing.TB
	setup   quicSetup
	end     *quicgo.Transport
	conn    *quicgo.Conn
	control *quicgo.Stream
	hello   *straitv1.ServerHello // nil before welcome

	in      journal[heard]
	reading sync.WaitGroup

	// guarded by mu, which serialises writing, too
	mu    sync.Mutex
	mine  map[byte]*quicgo.SendStream
	yours map[byte]*quicgo.ReceiveStream
}

// quicSetup says how a player dials; zero is what every client does.
type quicSetup struct {
	tls    *tls.Config
	quic   func(*quicgo.Config)
	from   string   // an IP address
	to     net.Addr // another one than the gateway's
	socket func(net.PacketConn) net.PacketConn
	unread map[byte]bool // channels whose stream is accepted and left alone
	mute   bool          // PINGs are not answered
	silent bool          // CLOSE is not answered
}

var listeningQUIC = regexp.MustCompile(`msg=listening transport=quic address=(\S+)`)

// serveQUIC starts a gateway with QUIC beside TLS over TCP.
func serveQUIC(t testing.TB, env ...string) *process {
	t.Helper()
	gw := serve(t, append([]string{"STRAIT_QUIC_ADDR=127.0.0.1:0"}, env...)...)
	quicAddr(gw)
	return gw
}

// quicAddr is where a gateway speaks QUIC.
func quicAddr(gw *process) *net.UDPAddr {
	gw.t.Helper()
	a, err := net.ResolveUDPAddr("udp", gw.capture("the log line of the QUIC address", listeningQUIC))
	require.NoError(gw.t, err)
	return a
}

// dialQUIC returns a player whose handshake is done, or the error.
func dialQUIC(t testing.TB, gw *process, s quicSetup) (*quicPlayer, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return dialQUICUntil(ctx, t, gw, s)
}

func dialQUICUntil(ctx context.Context, t testing.TB, gw *process, s quicSetup) (*quicPlayer, error) {
	t.Helper()
	if s.tls == nil {
		s.tls = secure(gw)
	}
	if s.from == "" {
		s.from = "127.0.0.1"
	}
	if s.to == nil {
		s.to = quicAddr(gw)
	}
	c := &quicgo.Config{
		EnableDatagrams: true, HandshakeIdleTimeout: patience, MaxIdleTimeout: patience,
		MaxIncomingStreams: -1, MaxIncomingUniStreams: 256,
	}
	if s.quic != nil {
		s.quic(c)
	}
	bound, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(s.from)})
	require.NoError(t, err)
	var socket net.PacketConn = bound
	if s.socket != nil {
		socket = s.socket(bound)
	}
	p := &quicPlayer{
		t: t, setup: s, end: &quicgo.Transport{Conn: socket},
		mine: make(map[byte]*quicgo.SendStream), yours: make(map[byte]*quicgo.ReceiveStream),
	}
	t.Cleanup(func() {
		if p.conn != nil {
			_ = p.conn.CloseWithError(cNormal, "the test has ended")
		}
		_ = p.end.Close()
		_ = bound.Close()
		p.reading.Wait()
	})
	conn, err := p.end.Dial(ctx, s.to, s.tls, c)
	if err != nil {
		return nil, err
	}
	p.conn = conn
	return p, nil
}

// connectQUIC returns a player who has not said anything yet.
func connectQUIC(t testing.TB, gw *process, s quicSetup) *quicPlayer {
	t.Helper()
	p, err := dialQUIC(t, gw, s)
	require.NoError(t, err)
	p.control, err = p.conn.OpenStream()
	require.NoError(t, err)
	p.reading.Go(p.readControl)
	p.reading.Go(p.readStreams)
	if s := p.conn.ConnectionState().SupportsDatagrams; s.Local && s.Remote {
		p.reading.Go(p.readDatagrams)
	}
	return p
}

// joinQUIC returns a player with a session.
func joinQUIC(t testing.TB, gw *process, s quicSetup) *quicPlayer {
	t.Helper()
	p := connectQUIC(t, gw, s)
	p.write(clientHello())
	p.welcome()
	return p
}

// welcome expects SERVER_HELLO as the first frame.
func (p *quicPlayer) welcome() {
	p.t.Helper()
	h := p.expect("SERVER_HELLO", func(h heard) bool { return h.way == onControl })
	require.EqualValues(p.t, tServerHello, h.typ, "type of the first frame")
	p.hello = new(straitv1.ServerHello)
	require.NoError(p.t, proto.Unmarshal(h.payload, p.hello))
}

// write sends bytes as they are on the control stream.
func (p *quicPlayer) write(parts ...[]byte) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range parts {
		_, err := p.control.Write(b)
		require.NoError(p.t, err)
	}
}

// stream returns the stream of a channel, with its preface at the first call.
func (p *quicPlayer) stream(channel byte) *quicgo.SendStream {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.mine[channel]; s != nil {
		return s
	}
	s, err := p.conn.OpenUniStream()
	require.NoError(p.t, err)
	_, err = s.Write([]byte{preface, channel})
	require.NoError(p.t, err)
	p.mine[channel] = s
	return s
}

// say sends a reliable message the way that the page gives for its channel.
func (p *quicPlayer) say(channel byte, payload []byte) {
	p.t.Helper()
	if channel == 0 {
		p.write(data(0, payload))
		return
	}
	_, err := p.stream(channel).Write(data(channel, payload))
	require.NoError(p.t, err)
}

// throw sends an unreliable message as a DATAGRAM.
func (p *quicPlayer) throw(channel byte, seq uint16, payload []byte) {
	p.t.Helper()
	require.NoError(p.t, p.conn.SendDatagram(body(channel, seq, payload)))
}

// body is what a DATAGRAM carries.
func body(channel byte, seq uint16, payload []byte) []byte {
	return append(binary.BigEndian.AppendUint16([]byte{bodyMessage, channel}, seq), payload...)
}

// expect awaits something that was heard, or the end of the session in its place.
func (p *quicPlayer) expect(what string, match func(heard) bool) heard {
	p.t.Helper()
	h, _ := p.expectFrom(0, what, match)
	return h
}

func (p *quicPlayer) expectFrom(from int, what string, match func(heard) bool) (heard, int) {
	p.t.Helper()
	h, next := p.in.awaitFrom(p.t, from, what, func(h heard) bool {
		return match(h) || h.way == onControl && (h.end != nil || h.typ == tClose)
	})
	switch {
	case match(h):
	case h.end != nil:
		require.FailNowf(p.t, "the control stream ended", "%v, instead of %s", h.end, what)
	default:
		c := closeFrame(p.t, h.frame)
		require.FailNowf(p.t, "closed", "code %d: %s; instead of %s", c.Code, c.Reason, what)
	}
	return h, next
}

// hears expects a message on one way.
func (p *quicPlayer) hears(w way, channel byte, payload []byte) heard {
	p.t.Helper()
	return p.expect(fmt.Sprintf("a message on channel %d", channel), says(w, channel, payload))
}

func says(w way, channel byte, payload []byte) func(heard) bool {
	return func(h heard) bool {
		return h.way == w && h.end == nil && h.channel == channel && string(h.payload) == string(payload) &&
			(h.typ == tData || h.typ == tDataUnreliable || h.typ == bodyMessage)
	}
}

// plays does a round trip through echoing game logic on the control stream and on a
// channel stream.
func (p *quicPlayer) plays() {
	p.t.Helper()
	for channel, w := range map[byte]way{0: onControl, 200: onStream} {
		mark := []byte("still playing? " + fenceMark())
		p.say(channel, mark)
		p.hears(w, channel, mark)
	}
}

// expectClose expects CLOSE, FIN behind it, and that the connection then ends with the
// same code.
func (p *quicPlayer) expectClose(code uint32) *straitv1.Close {
	p.t.Helper()
	f := p.in.await(p.t, "CLOSE", func(h heard) bool { return h.way == onControl && (h.end != nil || h.typ == tClose) })
	require.NoError(p.t, f.end, "the control stream ended without CLOSE")
	c := closeFrame(p.t, f.frame)
	require.Equal(p.t, code, c.Code, "close code; reason: %s", c.Reason)
	end := p.in.await(p.t, "FIN", func(h heard) bool { return h.way == onControl && h.end != nil })
	require.Equal(p.t, io.EOF, end.end, "after CLOSE comes FIN")
	var reset *quicgo.StatelessResetError
	if !errors.As(p.ended(), &reset) { // of a machine that keeps this end from running: it heard of the end too late
		p.expectCode(code)
	}
	return c
}

// closeFrame parses CLOSE and holds it against section 2.
func closeFrame(t testing.TB, f frame) *straitv1.Close {
	t.Helper()
	c := new(straitv1.Close)
	require.NoError(t, proto.Unmarshal(f.payload, c))
	require.NotEmpty(t, c.Reason)
	require.LessOrEqual(t, len(c.Reason), 256)
	require.True(t, utf8.ValidString(c.Reason))
	return c
}

// expectCode expects that the gateway ends the connection with an application error
// code.
func (p *quicPlayer) expectCode(code uint32) *quicgo.ApplicationError {
	p.t.Helper()
	var app *quicgo.ApplicationError
	require.ErrorAs(p.t, p.ended(), &app)
	require.True(p.t, app.Remote)
	require.EqualValues(p.t, code, app.ErrorCode, "application error code; reason: %s", app.ErrorMessage)
	return app
}

// ended awaits the end of the connection and returns why.
func (p *quicPlayer) ended() error {
	p.t.Helper()
	select {
	case <-p.conn.Context().Done():
	case <-time.After(patience):
		require.FailNow(p.t, "the connection does not end")
	}
	return context.Cause(p.conn.Context())
}

// opens reports whether e is an Opened of p.
func (p *quicPlayer) opens(e event) bool {
	return e.GetOpened() != nil && string(e.GetOpened().SessionId) == string(p.hello.SessionId)
}

// sees awaits the Opened of a player.
func (g *logic) sees(t testing.TB, p *quicPlayer) event {
	t.Helper()
	return g.event(t, "Opened of a player", p.opens)
}

// vanish takes the player off the network without a word.
func (p *quicPlayer) vanish() { _ = p.end.Conn.Close() }
