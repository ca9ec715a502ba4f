package client_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"strait/proto/straitv1"
	"strait/proto/wire"
)

// rawConn is the gateway's end of a connection, frame by frame.
type rawConn struct{ *tls.Conn }

// frame reads one frame.
func (c rawConn) frame() (wire.Header, []byte, error) {
	var hdr [wire.HeaderLen]byte
	if _, err := io.ReadFull(c, hdr[:]); err != nil {
		return wire.Header{}, nil, err
	}
	h, _ := wire.ParseHeader(hdr[:])
	b := make([]byte, h.Length)
	_, err := io.ReadFull(c, b)
	return h, b, err
}

func (c rawConn) send(t wire.Type, channel uint8, payload []byte) {
	_, _ = c.Write(wire.AppendFrame(nil, t, channel, payload))
}

// closed reads until CLOSE or the end and returns the code and reason; ok is false
// without a CLOSE.
func (c rawConn) closed() (code uint32, reason string, ok bool) {
	for {
		h, b, err := c.frame()
		if err != nil {
			return 0, "", false
		}
		if h.Type == wire.Close {
			code, reason, _, err = wire.ParseClose(b)
			return code, reason, err == nil
		}
	}
}

func goodHello() *straitv1.ServerHello {
	return &straitv1.ServerHello{
		Version: 1, SessionId: bytes.Repeat([]byte{7}, 16),
		MaxMessageBytes: 65536, MaxUnreliableBytes: 1100, IdleTimeoutMs: 30000,
	}
}

func marshal(t testing.TB, m proto.Message) []byte {
	b, err := proto.Marshal(m)
	require.NoError(t, err)
	return b
}

// helloThen answers the CLIENT_HELLO and goes on with next.
func helloThen(next func(rawConn)) func(*tls.Conn) {
	hello, err := proto.Marshal(goodHello())
	return func(conn *tls.Conn) {
		c := rawConn{conn}
		if _, _, e := c.frame(); e != nil || err != nil {
			return
		}
		c.send(wire.ServerHello, 0, hello)
		next(c)
	}
}

// quicFrames is the gateway's control stream, frame by frame.
type quicFrames struct{ io.Reader }

// frame reads one frame.
func (c quicFrames) frame() (wire.Header, []byte, error) {
	var hdr [wire.HeaderLen]byte
	if _, err := io.ReadFull(c, hdr[:]); err != nil {
		return wire.Header{}, nil, err
	}
	h, _ := wire.ParseHeader(hdr[:])
	b := make([]byte, h.Length)
	_, err := io.ReadFull(c, b)
	return h, b, err
}
