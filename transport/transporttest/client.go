package transporttest

import (
	"bufio"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"strait/proto/straitv1"
	"strait/proto/wire"
	"strait/transport"
)

// Client is a client on a raw stream: it can send anything.
type Client struct {
	Stream
	t  testing.TB
	in *bufio.Reader
}

// Frame is one frame that the gateway sent.
type Frame struct {
	wire.Header
	Payload []byte
}

func newClient(t testing.TB, s Stream) *Client {
	c := &Client{Stream: s, t: t, in: bufio.NewReader(s)}
	watchdog := time.AfterFunc(patience, s.Reset)
	t.Cleanup(func() {
		watchdog.Stop()
		_ = s.Close()
	})
	return c
}

// clientHello is a CLIENT_HELLO frame.
var clientHello = func() []byte {
	b, err := proto.Marshal(&straitv1.ClientHello{Version: 1, AuthToken: []byte("token"), Client: "transporttest"})
	if err != nil {
		panic(err)
	}
	return wire.AppendFrame(nil, wire.ClientHello, 0, b)
}()

// Hello sends CLIENT_HELLO.
func (c *Client) Hello() { c.Send(clientHello) }

// Send writes all of b.
func (c *Client) Send(b []byte) {
	c.t.Helper()
	_, err := c.Write(b)
	require.NoError(c.t, err)
}

// Data sends a reliable message.
func (c *Client) Data(channel uint8, payload string) {
	c.t.Helper()
	c.Send(wire.AppendFrame(nil, wire.Data, channel, []byte(payload)))
}

// Goodbye sends CLOSE NORMAL.
func (c *Client) Goodbye() {
	c.t.Helper()
	c.Send(wire.AppendClose(nil, 0, "bye", 0))
}

// Read1 reads one frame.
func (c *Client) Read1() (Frame, error) {
	var head [wire.HeaderLen]byte
	if _, err := io.ReadFull(c.in, head[:]); err != nil {
		return Frame{}, err
	}
	h, _ := wire.ParseHeader(head[:])
	f := Frame{Header: h, Payload: make([]byte, h.Length)}
	if _, err := io.ReadFull(c.in, f.Payload); err != nil {
		return Frame{}, errors.Join(errors.New("in the middle of a frame"), err)
	}
	return f, wire.Limits{MaxMessage: 65536}.Check(h)
}

// Next reads one frame of the given type.
func (c *Client) Next(want wire.Type) Frame {
	c.t.Helper()
	f, err := c.Read1()
	require.NoError(c.t, err)
	require.Equal(c.t, want, f.Type, "%q", f.Payload)
	return f
}

// ServerHello reads SERVER_HELLO.
func (c *Client) ServerHello() {
	c.t.Helper()
	require.Equal(c.t, serverHello, c.Next(wire.ServerHello).Payload)
}

// SendDatagram sends an unreliable message as a datagram.
func (c *Client) SendDatagram(channel uint8, seq uint16, payload string) {
	c.t.Helper()
	c.SendBody(appendBody(nil, channel, seq, payload))
}

// SendBody sends a datagram.
func (c *Client) SendBody(b []byte) {
	c.t.Helper()
	require.NoError(c.t, c.Stream.(Datagrams).SendDatagram(b))
}

// appendBody appends the body of WIRE.md section 5.
func appendBody(dst []byte, channel uint8, seq uint16, payload string) []byte {
	return append(append(dst, 0x10, channel, byte(seq>>8), byte(seq)), payload...)
}

// Datagram waits for an unreliable message in a datagram.
func (c *Client) Datagram() Received {
	c.t.Helper()
	b, err := c.Stream.(Datagrams).ReceiveDatagram()
	require.NoError(c.t, err)
	require.GreaterOrEqual(c.t, len(b), 4)
	require.EqualValues(c.t, 0x10, b[0])
	return Received{transport.Unreliable, b[1], uint16(b[2])<<8 | uint16(b[3]), string(b[4:])}
}

// Echo sends a message and waits for it to come back.
func (c *Client) Echo(channel uint8, payload string) {
	c.t.Helper()
	c.Data(channel, payload)
	f := c.Next(wire.Data)
	require.Equal(c.t, payload, string(f.Payload))
	require.Equal(c.t, channel, f.Channel)
}

// Closed reads what is left: CLOSE with the given code, then the end of the stream
// and no reset. It ends the client's side, too, and returns the reason.
func (c *Client) Closed(code transport.Code) transport.Reason {
	c.t.Helper()
	return c.ClosedAfter(code, func(f Frame) { require.Fail(c.t, "frame before CLOSE", "%v", f.Header) })
}

// ClosedAfter is Closed with frames before it, which are given to each.
func (c *Client) ClosedAfter(code transport.Code, each func(Frame)) transport.Reason {
	c.t.Helper()
	for {
		f, err := c.Read1()
		require.NoError(c.t, err, "the stream ended without CLOSE")
		if f.Type != wire.Close {
			each(f)
			continue
		}
		got, text, retry, err := wire.ParseClose(f.Payload)
		require.NoError(c.t, err)
		r := transport.Reason{Code: transport.Code(got), Text: text, RetryAfter: time.Duration(retry) * time.Millisecond}
		require.Equal(c.t, code, r.Code, "%s", r.Text)
		assert.NotEmpty(c.t, r.Text)
		_, err = c.in.ReadByte()
		require.ErrorIs(c.t, err, io.EOF, "after CLOSE comes the end of the stream")
		require.NoError(c.t, c.Close())
		return r
	}
}

// Sending runs f, which may block in writing, and waits for it at the end of the
// test after the stream was reset.
func (c *Client) Sending(f func()) {
	var done sync.WaitGroup
	done.Go(f)
	c.t.Cleanup(func() {
		c.Reset()
		done.Wait()
	})
}

func ping(n uint64) []byte {
	var b [8]byte
	for i := range b {
		b[i] = byte(n >> (8 * (7 - i)))
	}
	return wire.AppendFrame(nil, wire.Ping, 0, b[:])
}
