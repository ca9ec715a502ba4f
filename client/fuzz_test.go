package client_test

import (
	"context"
	"crypto/tls"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strait/client"
	"strait/client/clienttest"
	"strait/proto/straitv1"
	"strait/proto/wire"
)

// FuzzReceive lets a gateway that was verified send anything: the client must
// neither panic nor hang nor keep a buffer, and must end with a reason.
func FuzzReceive(f *testing.F) {
	hello := wire.AppendFrame(nil, wire.ServerHello, 0, marshal(f, goodHello()))
	with := func(frames ...[]byte) []byte {
		b := append([]byte(nil), hello...)
		for _, fr := range frames {
			b = append(b, fr...)
		}
		return b
	}
	f.Add([]byte{})
	f.Add(hello[:5])
	f.Add(with())
	f.Add(with(wire.AppendFrame(nil, wire.Data, 1, []byte("hello")), wire.AppendUnreliable(nil, 2, 65535, []byte("now")), wire.AppendUnreliable(nil, 2, 3, nil)))
	f.Add(with(wire.AppendFrame(nil, wire.Ping, 0, make([]byte, 8)), wire.AppendPong(nil, [8]byte{0x80}, 7), wire.AppendPong(nil, [8]byte{7: 1}, 1<<32-1)))
	f.Add(with(wire.AppendFrame(nil, wire.GoAway, 0, marshal(f, &straitv1.GoAway{Code: 7, DeadlineMs: 1, Redirect: "x:1"})), wire.AppendClose(nil, 7, "drained", 1)))
	f.Add(with(wire.AppendFrame(nil, wire.Ack, 0, marshal(f, &straitv1.Ack{})), wire.AppendFrame(nil, wire.Type(0x90), 0, []byte("skip me"))))
	f.Add(with(wire.AppendHeader(nil, wire.Header{Type: wire.Data, Length: wire.MaxFrameLen})))
	f.Add(with(wire.AppendClose(nil, 1<<31, "odd", 1<<31)))
	f.Add(wire.AppendClose(nil, 3, "who are you", 0))
	f.Add(with(hello))

	network := newMemory()
	streams := make(chan []byte, 1)
	g := startGateway(f, clienttest.Config{Listener: network, Raw: func(conn *tls.Conn) {
		b := <-streams
		if _, _, err := (rawConn{conn}).frame(); err != nil {
			return
		}
		_, _ = conn.Write(b)
		_ = conn.CloseWrite()
	}})
	f.Fuzz(func(t *testing.T, stream []byte) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		streams <- stream
		c, err := client.Dial(ctx, "gateway", client.Options{
			Pin: g.Pin(), DialContext: network.Dial, ReceiveBufferBytes: 300,
			Reconnect: client.Reconnect{Off: true},
		})
		if err != nil {
			require.NotErrorIs(t, err, context.DeadlineExceeded)
			require.Zero(t, client.LiveBuffers())
			return
		}
		go func() { _, _ = c.Ping(ctx) }()
		for err == nil {
			_, err = c.Receive(ctx)
		}
		require.NotErrorIs(t, err, context.DeadlineExceeded)
		select {
		case <-c.Done():
		case <-time.After(patience):
			t.Fatal("the client did not end")
		}
		require.True(t, errors.Is(c.Err(), err) || c.Err() == err)
		require.NoError(t, c.Close())
		require.Zero(t, client.LiveBuffers())
	})
}
