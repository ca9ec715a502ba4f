package oneport_test

import (
	"crypto/tls"
	"io"
	"net"
	"runtime"
	"sync/atomic"
	"testing"

	quicgo "github.com/quic-go/quic-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/transport"
	"strait/transport/transporttest"
	"strait/udp"
)

var _ quicgo.OOBCapablePacketConn = (*udp.Shared)(nil)

// All that a transport promises QUIC keeps on a shared socket, while others send
// datagrams of sealed UDP to it.
func TestConformance(t *testing.T) {
	for _, c := range []struct {
		name, host string
		noBatch    bool
	}{
		{"batch, every address", "", false},
		{"portable, IPv6", "::1", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if (testing.Short() || transporttest.Race) && c.noBatch {
				t.Skip("the other tells of most mistakes")
			}
			transporttest.Run(t, func(t *testing.T, s transporttest.Setup) transporttest.Endpoint {
				return listen(t, c.host, s, c.noBatch).endpoint()
			})
		})
	}
}

// watched looks at what quic-go writes.
type watched struct {
	*udp.Shared
	most atomic.Int64 // bytes in one call
}

func (w *watched) WriteMsgUDP(b, oob []byte, to *net.UDPAddr) (n, oobn int, err error) {
	w.most.Store(max(w.most.Load(), int64(len(b))))
	return w.Shared.WriteMsgUDP(b, oob, to)
}

// quic-go finds on a shared socket what it finds on one of its own: it sends many
// packets with one call, and reads as many as are there.
func TestBatchesBothWays(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("GSO is Linux's")
	}
	lanes, err := udp.Listen(t.Context(), "127.0.0.1:0", udp.Config{Pool: transport.NewPool(0, nil), Share: true})
	require.NoError(t, err)
	socket := &watched{Shared: lanes.Shared()}
	end := &quicgo.Transport{Conn: socket}
	l, err := end.Listen(&tls.Config{Certificates: []tls.Certificate{certificate()}, NextProtos: []string{"bulk"}}, nil)
	require.NoError(t, err)
	const size = 4 << 20
	served := make(chan error, 1)
	go func() {
		served <- func() error {
			conn, err := l.Accept(t.Context())
			if err != nil {
				return err
			}
			s, err := conn.AcceptStream(t.Context())
			if err != nil {
				return err
			}
			if _, err = io.CopyN(io.Discard, s, size); err != nil {
				return err
			}
			if _, err = s.Write(make([]byte, size)); err != nil {
				return err
			}
			return s.Close()
		}()
	}()
	conn, err := quicgo.DialAddr(t.Context(), end.Conn.LocalAddr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"bulk"}}, nil)
	require.NoError(t, err)
	s, err := conn.OpenStream()
	require.NoError(t, err)
	_, err = s.Write(make([]byte, size))
	require.NoError(t, err)
	n, err := io.Copy(io.Discard, s)
	require.NoError(t, err)
	require.EqualValues(t, size, n)
	require.NoError(t, <-served)
	require.NoError(t, conn.CloseWithError(0, ""))
	require.NoError(t, l.Close())
	require.NoError(t, end.Close())
	assert.Greater(t, socket.most.Load(), int64(2*1452), "GSO")
	st := lanes.Stats().Sockets[0]
	assert.Less(t, st.Reads, uint64(size/1452/2), "whole batches")
	assert.Zero(t, st.DatagramsIn)
	require.NoError(t, lanes.Close())
}
