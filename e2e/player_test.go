package e2e

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"strait/proto/straitv1"
)

// The frame types of WIRE.md section 2.
const (
	tClientHello    = 0x01
	tServerHello    = 0x02
	tData           = 0x03
	tDataUnreliable = 0x04
	tPing           = 0x05
	tPong           = 0x06
	tAck            = 0x07
	tUDPOffer       = 0x08
	tGoAway         = 0x09
	tClose          = 0x0A
)

// The close codes of WIRE.md section 9 that the tests meet.
const (
	cNormal        = 0
	cProtocolError = 1
	cVersion       = 2
	cIdle          = 4
	cTimeout       = 5
	cOverloaded    = 6
	cDraining      = 7
	cKicked        = 8
	cTooSlow       = 10
	cUpstreamLost  = 12
)

// frame is one frame, WIRE.md section 2.
type frame struct {
	typ, channel, flags byte
	payload             []byte
}

// header is a frame's header that promises n bytes of payload.
func header(typ byte, n int) []byte { return []byte{byte(n >> 16), byte(n >> 8), byte(n), typ, 0, 0} }

// bytes is the frame as it is on the wire.
func (f frame) bytes() []byte {
	b := header(f.typ, len(f.payload))
	b[4], b[5] = f.channel, f.flags
	return append(b, f.payload...)
}

func raw(typ byte, payload []byte) []byte { return frame{typ: typ, payload: payload}.bytes() }

func data(channel byte, payload []byte) []byte {
	return frame{typ: tData, channel: channel, payload: payload}.bytes()
}

func unreliable(channel byte, seq uint16, payload []byte) []byte {
	return frame{typ: tDataUnreliable, channel: channel, payload: append(binary.BigEndian.AppendUint16(nil, seq), payload...)}.bytes()
}

func message(typ byte, m proto.Message) []byte {
	b, err := proto.Marshal(m)
	if err != nil {
		panic(err)
	}
	return raw(typ, b)
}

func clientHello() []byte {
	return message(tClientHello, &straitv1.ClientHello{Version: 1, Client: "e2e"})
}

func closing(code uint32, reason string) []byte {
	return message(tClose, &straitv1.Close{Code: code, Reason: reason})
}

// player is a client on one connection. Writing and reading may each be done by
// one goroutine at a time.
type player struct {
	t     testing.TB
	conn  *tls.Conn
	in    *bufio.Reader
	hello *straitv1.ServerHello // nil before welcome
}

// secure is what a client of gw uses for TLS: it trusts the certificate whose
// fingerprint the gateway logged.
func secure(gw *process) *tls.Config {
	return &tls.Config{
		NextProtos: []string{"strait/1"}, MinVersion: tls.VersionTLS13,
		InsecureSkipVerify: true, // the pin is verified instead
		VerifyPeerCertificate: func(certs [][]byte, _ [][]*x509.Certificate) error {
			if sum := sha256.Sum256(certs[0]); !bytes.Equal(sum[:], gw.pin) {
				return fmt.Errorf("certificate %x is not the one that was logged, %x", sum, gw.pin)
			}
			return nil
		},
	}
}

// dial returns a connection whose TLS handshake is done, or the error.
func dial(gw *process, conf *tls.Config) (*tls.Conn, error) {
	d := &net.Dialer{Timeout: patience}
	return tls.DialWithDialer(d, "tcp", gw.addr, conf)
}

// connect returns a player who has not said anything yet.
func connect(t testing.TB, gw *process) *player {
	t.Helper()
	conn, err := dial(gw, secure(gw))
	require.NoError(t, err)
	return playerOn(t, conn)
}

func playerOn(t testing.TB, conn *tls.Conn) *player {
	t.Cleanup(func() { conn.NetConn().Close() })
	return &player{t: t, conn: conn, in: bufio.NewReaderSize(conn, 64<<10)}
}

// join returns a player with a session.
func join(t testing.TB, gw *process) *player {
	t.Helper()
	p := connect(t, gw)
	p.write(clientHello())
	p.welcome()
	return p
}

// joinRoute is join by a client that names its route.
func joinRoute(t testing.TB, gw *process, route string) *player {
	t.Helper()
	p := connect(t, gw)
	p.write(message(tClientHello, &straitv1.ClientHello{Version: 1, Route: route}))
	p.welcome()
	return p
}

// write sends bytes as they are, in one write.
func (p *player) write(parts ...[]byte) {
	p.t.Helper()
	require.NoError(p.t, p.conn.SetWriteDeadline(time.Now().Add(patience)))
	_, err := p.conn.Write(bytes.Join(parts, nil))
	require.NoError(p.t, err)
	require.NoError(p.t, p.conn.SetWriteDeadline(time.Time{}))
}

// read returns the next frame whatever it is.
func (p *player) read() (frame, error) { return p.readBy(time.Now().Add(patience)) }

func (p *player) readBy(deadline time.Time) (frame, error) {
	if err := p.conn.SetReadDeadline(deadline); err != nil {
		return frame{}, err
	}
	var h [6]byte
	if _, err := io.ReadFull(p.in, h[:]); err != nil {
		return frame{}, err
	}
	f := frame{typ: h[3], channel: h[4], flags: h[5]}
	f.payload = make([]byte, int(h[0])<<16|int(h[1])<<8|int(h[2]))
	_, err := io.ReadFull(p.in, f.payload)
	return f, err
}

// next returns the next frame but PINGs, which it answers. It waits as long as PINGs
// come.
func (p *player) next() (frame, error) {
	for {
		f, err := p.read()
		if err != nil || f.typ != tPing {
			return f, err
		}
		if err := p.pong(f); err != nil {
			return f, err
		}
	}
}

// pong answers a PING.
func (p *player) pong(f frame) error {
	_, err := p.conn.Write(raw(tPong, append(f.payload, 0, 0, 0, 0)))
	return err
}

// expect returns the next frame but PINGs; it must be of that type.
func (p *player) expect(typ byte) frame {
	p.t.Helper()
	deadline := time.Now().Add(patience)
	f, err := p.readBy(deadline)
	for err == nil && f.typ == tPing {
		require.NoError(p.t, p.pong(f))
		f, err = p.readBy(deadline)
	}
	require.NoError(p.t, err)
	if f.typ == tClose && typ != tClose {
		var c straitv1.Close
		_ = proto.Unmarshal(f.payload, &c)
		require.FailNowf(p.t, "closed", "code %d: %s", c.Code, c.Reason)
	}
	require.Equal(p.t, typ, f.typ, "type of the next frame")
	require.Zero(p.t, f.flags, "flags are sent as 0")
	return f
}

// welcome expects SERVER_HELLO.
func (p *player) welcome() {
	p.t.Helper()
	f := p.expect(tServerHello)
	require.Zero(p.t, f.channel, "the channel of a control frame is 0")
	p.hello = new(straitv1.ServerHello)
	require.NoError(p.t, proto.Unmarshal(f.payload, p.hello))
}

// expectData expects exactly this reliable message.
func (p *player) expectData(channel byte, payload []byte) {
	p.t.Helper()
	f := p.expect(tData)
	require.Equal(p.t, channel, f.channel)
	require.True(p.t, bytes.Equal(payload, f.payload), "%d bytes %.40q, not %d bytes %.40q", len(f.payload), f.payload, len(payload), payload)
}

// plays does one round trip through echoing game logic.
func (p *player) plays() {
	p.t.Helper()
	p.write(data(200, []byte("still playing?")))
	p.expectData(200, []byte("still playing?"))
}

// expectClose expects CLOSE as the very next frame but PINGs, and a clean end.
func (p *player) expectClose(code uint32) *straitv1.Close {
	p.t.Helper()
	c := p.closeFrame(p.expect(tClose))
	require.Equal(p.t, code, c.Code, "close code; reason: %s", c.Reason)
	p.expectEnd()
	return c
}

// closeFrame parses CLOSE and holds it against section 2.
func (p *player) closeFrame(f frame) *straitv1.Close {
	p.t.Helper()
	c := new(straitv1.Close)
	require.NoError(p.t, proto.Unmarshal(f.payload, c))
	require.NotEmpty(p.t, c.Reason)
	require.LessOrEqual(p.t, len(c.Reason), 256)
	require.True(p.t, utf8.ValidString(c.Reason))
	return c
}

// expectEnd expects close_notify, then FIN, and no reset.
func (p *player) expectEnd() {
	p.t.Helper()
	_, err := p.in.ReadByte()
	require.Equal(p.t, io.EOF, err, "after CLOSE comes close_notify")
	require.NoError(p.t, p.conn.NetConn().SetReadDeadline(time.Now().Add(patience)))
	n, err := p.conn.NetConn().Read(make([]byte, 1))
	require.Zero(p.t, n, "nothing follows close_notify")
	require.Equal(p.t, io.EOF, err, "after close_notify comes FIN")
}

// untilClose reads everything up to CLOSE and returns it with what came before.
func (p *player) untilClose() (before []frame, c *straitv1.Close) {
	p.t.Helper()
	for {
		f, err := p.next()
		require.NoError(p.t, err)
		if f.typ == tClose {
			return before, p.closeFrame(f)
		}
		before = append(before, f)
	}
}

// lose ends the connection as a pulled plug would, without a word.
func (p *player) lose() {
	p.t.Helper()
	sock := p.conn.NetConn().(*net.TCPConn)
	require.NoError(p.t, sock.SetLinger(0)) // RST
	require.NoError(p.t, sock.Close())
}

// local is the address that the gateway sees.
func (p *player) local() string { return p.conn.LocalAddr().String() }

// bystander plays all the time, to notice what others do to him.
type bystander struct {
	*player
	stop chan struct{}
	done sync.WaitGroup

	mu     sync.Mutex
	grown  *sync.Cond
	rounds int
	longest,
	total time.Duration
	failed error
}

// accompany starts a bystander on a gateway that echoes.
func accompany(t testing.TB, gw *process) *bystander {
	t.Helper()
	return follow(t, join(t, gw))
}

// follow makes p, whose game logic echoes, a bystander. When the test ends he must
// not have noticed anything.
func follow(t testing.TB, p *player) *bystander {
	b := &bystander{player: p, stop: make(chan struct{})}
	b.grown = sync.NewCond(&b.mu)
	b.done.Go(b.run)
	t.Cleanup(func() {
		close(b.stop)
		b.done.Wait()
		if b.failed != nil {
			t.Errorf("a player who did nothing wrong was disturbed: %v", b.failed)
		}
		if b.longest > 5*time.Second {
			t.Errorf("a player who did nothing wrong waited %v for an answer", b.longest)
		}
	})
	return b
}

func (b *bystander) run() {
	pace := time.NewTicker(3 * time.Millisecond)
	defer pace.Stop()
	for i := uint64(0); ; i++ {
		began := time.Now()
		err := b.round(i)
		took := time.Since(began)
		b.mu.Lock()
		b.failed = err
		b.rounds++
		b.total += took
		b.longest = max(b.longest, took)
		b.grown.Broadcast()
		b.mu.Unlock()
		if err != nil {
			return
		}
		select {
		case <-b.stop:
			return
		case <-pace.C:
		}
	}
}

func (b *bystander) round(i uint64) error {
	sent := binary.BigEndian.AppendUint64(nil, i)
	if _, err := b.conn.Write(data(byte(i), sent)); err != nil {
		return err
	}
	f, err := b.next()
	switch {
	case err != nil:
		return err
	case f.typ != tData || f.channel != byte(i) || !bytes.Equal(f.payload, sent):
		return errors.New("another frame than the echo")
	}
	return nil
}

// played is how many rounds there were.
func (b *bystander) played() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.rounds
}

// undisturbed returns after two more rounds, of which the second began after the
// call.
func (b *bystander) undisturbed(t testing.TB) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for from := b.rounds; b.rounds < from+2 && b.failed == nil; {
		b.grown.Wait()
	}
	require.NoError(t, b.failed, "a player who did nothing wrong")
}
