//go:build linux

package main

import (
	"crypto/tls"
	"net"
	"os"
	"testing"

	quicgo "github.com/quic-go/quic-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/bench/edge/stack"
	"strait/quic/session"
)

// Who is said to demand a Retry does, and nobody else: the gateway and the bare echo.
func TestRetryIsDemandedOfEach(t *testing.T) {
	temporary(t)
	self, err := os.Executable()
	require.NoError(t, err)
	cert, err := stack.NewCertificate(os.Getenv("TMPDIR"))
	require.NoError(t, err)
	for _, target := range []stack.Target{
		{Name: "strait", Kind: stack.Strait, Protocol: stack.QUIC, Binary: gateway},
		{Name: "bare echo", Kind: stack.Bare, Protocol: stack.QUIC},
	} {
		for _, retry := range []stack.Retry{stack.RetryOff, stack.RetryAlways} {
			t.Run(target.Name+" "+string(retry), func(t *testing.T) {
				s, err := stack.Start(t.Context(), target, stack.Config{Cert: cert, Echo: []string{self, echoCommand}, Sessions: 10, Retry: retry})
				require.NoError(t, err)
				defer func() { assert.NoError(t, s.Stop()) }()
				for range 3 {
					assert.Equal(t, retry == stack.RetryAlways, retried(t, s.Addr))
				}
			})
		}
	}
}

// retried opens a connection and reports whether the server asked for a Retry.
func retried(t *testing.T, addr string) bool {
	t.Helper()
	at, err := net.ResolveUDPAddr("udp", addr)
	require.NoError(t, err)
	conn, err := net.ListenUDP("udp4", nil)
	require.NoError(t, err)
	tapped := &tap{PacketConn: conn}
	transport := &quicgo.Transport{Conn: tapped}
	c, err := transport.Dial(t.Context(), at, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{session.ALPN}}, session.QUICConfig())
	require.NoError(t, err)
	require.NoError(t, c.CloseWithError(0, ""))
	require.NoError(t, transport.Close())
	require.NoError(t, conn.Close())
	return tapped.retried
}

// tap looks for Retry packets (RFC 9000 section 17.2.5) in what is read.
type tap struct {
	net.PacketConn
	retried bool
}

func (c *tap) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := c.PacketConn.ReadFrom(b)
	c.retried = c.retried || n > 0 && b[0]&0xf0 == 0xf0
	return n, from, err
}
