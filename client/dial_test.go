package client_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/client"
	"strait/client/clienttest"
	"strait/proto/straitv1"
	"strait/proto/wire"
	"strait/transport"
)

func dialFails(t *testing.T, phase client.Phase, addr string, o client.Options) error {
	t.Helper()
	_, err := client.Dial(timeout(t), addr, o)
	var d *client.DialError
	require.ErrorAs(t, err, &d)
	assert.Equal(t, phase, d.Phase, "%v", err)
	assert.Equal(t, addr, d.Addr)
	assert.Contains(t, err.Error(), addr)
	assert.Zero(t, client.LiveBuffers(), "buffers were not released")
	return err
}

func TestAddressesAreCompleted(t *testing.T) {
	for addr, want := range map[string]string{
		"play.example.com":     "play.example.com:7777",
		"play.example.com:443": "play.example.com:443",
		"192.0.2.7":            "192.0.2.7:7777",
		"2001:db8::7":          "[2001:db8::7]:7777",
		"[2001:db8::7]":        "[2001:db8::7]:7777",
		"[2001:db8::7]:443":    "[2001:db8::7]:443",
		":443":                 "localhost:443",
	} {
		var dialed string
		stop := errors.New("far enough")
		_, err := client.Dial(timeout(t), addr, client.Options{
			DialContext: func(_ context.Context, _, a string) (net.Conn, error) { dialed = a; return nil, stop },
		})
		assert.ErrorIs(t, err, stop)
		assert.Equal(t, want, dialed)
	}
	for _, addr := range []string{"", "host:", "host:0", "host:65536", "host:http", "a:b:c", "[::1"} {
		_, err := client.Dial(timeout(t), addr, client.Options{})
		assert.ErrorContains(t, err, "it should look like", addr)
	}
}

func TestOptionsThatMakeNoSenseAreRefused(t *testing.T) {
	for text, o := range map[string]client.Options{
		"Transport 9 does not exist":      {Transport: 9},
		"choose one way to verify":        {CAFile: "x", Pin: fmt.Sprintf("%064x", 1)},
		"is not a SHA-256 in hex":         {Pin: "abc"},
		"OpenTimeout -1ns is negative":    {OpenTimeout: -1},
		"SendBufferBytes -1 is neg":       {SendBufferBytes: -1},
		"ReceiveBufferBytes -1 is":        {ReceiveBufferBytes: -1},
		"negative value (Min -1ns":        {Reconnect: client.Reconnect{Min: -1}},
		"Min 2s is above Reconnect.Max 1": {Reconnect: client.Reconnect{Min: 2 * time.Second, Max: time.Second}},
		"contradict each other":           {Reconnect: client.Reconnect{Off: true, First: true}},
		"no such file":                    {CAFile: filepath.Join(t.TempDir(), "none.pem")},
	} {
		_, err := client.Dial(timeout(t), "127.0.0.1:1", o)
		assert.ErrorContains(t, err, text)
	}
	empty := filepath.Join(t.TempDir(), "empty.pem")
	require.NoError(t, os.WriteFile(empty, []byte("nothing"), 0o600))
	_, err := client.Dial(timeout(t), "127.0.0.1:1", client.Options{CAFile: empty})
	assert.ErrorContains(t, err, "no certificate in PEM form")
	both := client.Options{OpenTimeout: -1, SendBufferBytes: -1}
	assert.ErrorContains(t, both.Validate(), "OpenTimeout")
	assert.ErrorContains(t, both.Validate(), "SendBufferBytes")
}

func TestTheServerIsVerifiedByRootsFileOrPin(t *testing.T) {
	g := startGateway(t, clienttest.Config{})
	file := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: g.Certificate().Raw}), 0o600))
	colons := strings.ToUpper(strings.Join(pairs(g.Pin()), ":"))
	wrong := fmt.Sprintf("%064x", 1)
	for name, o := range map[string]client.Options{
		"file":                  {CAFile: file},
		"roots":                 {RootCAs: g.Roots()},
		"other name":            {RootCAs: g.Roots(), ServerName: "localhost"},
		"pin":                   {Pin: g.Pin()},
		"pin with colons":       {Pin: colons},
		"one of several":        {Pin: wrong + ", " + colons},
		"pin, whatever name":    {Pin: g.Pin(), ServerName: "nowhere.example"},
		"explicitly over TCP":   {Pin: g.Pin(), Transport: client.TCP},
		"a timeout long enough": {Pin: g.Pin(), OpenTimeout: patience},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := client.Dial(timeout(t), g.Addr(), o)
			require.NoError(t, err)
			assert.NoError(t, c.Close())
		})
	}
}

func pairs(s string) (out []string) {
	for ; s != ""; s = s[2:] {
		out = append(out, s[:2])
	}
	return out
}

func TestAServerThatDoesNotVerifyIsRefusedWithItsFingerprint(t *testing.T) {
	greeted := make(chan struct{}, 10)
	g := startGateway(t, clienttest.Config{Hello: func(*straitv1.ClientHello, *straitv1.ServerHello) error {
		greeted <- struct{}{}
		return nil
	}})
	for name, c := range map[string]struct {
		o      client.Options
		pinned bool
		hint   string
	}{
		"unknown authority": {o: client.Options{RootCAs: x509.NewCertPool()}, hint: "give the CA file"},
		"the system's":      {hint: "give the CA file"},
		"wrong name":        {o: client.Options{RootCAs: g.Roots(), ServerName: "nowhere.example"}, hint: "give the name"},
		"wrong pin":         {o: client.Options{Pin: fmt.Sprintf("%064x", 1)}, pinned: true, hint: "pin the new one"},
	} {
		t.Run(name, func(t *testing.T) {
			c.o.Token = func(context.Context) ([]byte, error) { return []byte("secret"), nil }
			err := dialFails(t, client.PhaseTLS, g.Addr(), c.o)
			var v *client.VerifyError
			require.ErrorAs(t, err, &v)
			assert.Equal(t, g.Pin(), v.Fingerprint)
			assert.Equal(t, c.pinned, v.Pinned)
			assert.ErrorContains(t, err, c.hint)
			assert.ErrorContains(t, err, g.Pin())
		})
	}
	assert.Empty(t, greeted, "a server that was not verified got a CLIENT_HELLO")
}

func TestWhatIsNoGatewayIsToldApart(t *testing.T) {
	t.Run("nobody listens", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		addr := l.Addr().String()
		require.NoError(t, l.Close())
		err = dialFails(t, client.PhaseConnect, addr, client.Options{})
		assert.ErrorIs(t, err, syscall.ECONNREFUSED)
		assert.ErrorContains(t, err, "is the gateway running")
	})
	t.Run("the name does not resolve", func(t *testing.T) {
		_, err := client.Dial(timeout(t), "nowhere.invalid", client.Options{
			DialContext: func(context.Context, string, string) (net.Conn, error) {
				return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "nowhere.invalid", IsNotFound: true}}
			},
		})
		var d *client.DialError
		require.ErrorAs(t, err, &d)
		assert.Equal(t, client.PhaseResolve, d.Phase)
		assert.ErrorContains(t, err, "check the name")
	})
	t.Run("no TLS", func(t *testing.T) {
		addr := listen(t, func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n") })
		assert.ErrorContains(t, dialFails(t, client.PhaseTLS, addr, client.Options{}), "does not speak TLS")
	})
	t.Run("closes at once", func(t *testing.T) {
		addr := listen(t, func(net.Conn) {})
		assert.ErrorContains(t, dialFails(t, client.PhaseTLS, addr, client.Options{}), "ALPN strait/1")
	})
	for name, change := range map[string]func(*tls.Config){
		"no ALPN":      func(c *tls.Config) { c.NextProtos = nil },
		"other ALPN":   func(c *tls.Config) { c.NextProtos = []string{"h2"} },
		"TLS 1.2 only": func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 },
	} {
		t.Run(name, func(t *testing.T) {
			g := startGateway(t, clienttest.Config{TLS: change})
			assert.ErrorContains(t, dialFails(t, client.PhaseTLS, g.Addr(), client.Options{Pin: g.Pin()}), "ALPN strait/1")
		})
	}
}

// listen serves each connection with handle and closes it.
func listen(t *testing.T, handle func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			handle(c)
			if half, ok := c.(*net.TCPConn); ok {
				_ = half.CloseWrite()
				_, _ = io.Copy(io.Discard, c)
			}
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}

func TestTheContextAndOpenTimeoutEndEveryPhase(t *testing.T) {
	hang, reached := make(chan struct{}), make(chan struct{}, 100)
	wait := func(until <-chan struct{}) {
		reached <- struct{}{}
		<-until
	}
	// A first byte from the client proves that it has arrived in the phase.
	first := func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1))
		wait(hang)
	}
	silent := startGateway(t, clienttest.Config{Raw: func(c *tls.Conn) { first(c) }})
	deaf := listen(t, first)
	defer close(hang)
	for phase, c := range map[client.Phase]struct {
		addr string
		o    client.Options
	}{
		client.PhaseToken: {addr: "127.0.0.1:1", o: client.Options{Token: func(ctx context.Context) ([]byte, error) {
			wait(ctx.Done())
			return nil, ctx.Err()
		}}},
		client.PhaseConnect: {addr: "127.0.0.1:1", o: client.Options{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			wait(ctx.Done())
			return nil, ctx.Err()
		}}},
		client.PhaseTLS:   {addr: deaf},
		client.PhaseHello: {addr: silent.Addr(), o: client.Options{Pin: silent.Pin()}},
	} {
		t.Run(string(phase)+"/cancel", func(t *testing.T) {
			stop := errors.New("the player left")
			ctx, cancel := context.WithCancelCause(context.Background())
			go func() { <-reached; cancel(stop) }()
			_, err := client.Dial(ctx, c.addr, c.o)
			assert.ErrorIs(t, err, stop)
			assertPhase(t, phase, err)
		})
	}
	// A simulated clock stands still until a phase hangs.
	synctest.Test(t, func(t *testing.T) {
		network := newMemory()
		g := startGateway(t, clienttest.Config{Listener: network, Raw: func(c *tls.Conn) { _, _ = io.Copy(io.Discard, c) }})
		hello := client.Options{DialContext: network.Dial, Pin: g.Pin()}
		noTLS := client.Options{DialContext: func(context.Context, string, string) (net.Conn, error) {
			near, _ := pipe()
			return near, nil
		}}
		noConn := client.Options{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		noToken := client.Options{Token: func(ctx context.Context) ([]byte, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		for phase, o := range map[client.Phase]client.Options{
			client.PhaseToken: noToken, client.PhaseConnect: noConn, client.PhaseTLS: noTLS, client.PhaseHello: hello,
		} {
			for timeout, want := range map[time.Duration]time.Duration{0: 10 * time.Second, time.Minute: time.Minute} {
				o.OpenTimeout = timeout
				start := time.Now()
				_, err := client.Dial(t.Context(), "gateway", o)
				assert.Equal(t, want, time.Since(start), "%s", phase)
				assert.ErrorIs(t, err, context.DeadlineExceeded)
				assert.ErrorContains(t, err, "not done within "+want.String())
				assertPhase(t, phase, err)
			}
		}
	})
}

func assertPhase(t *testing.T, phase client.Phase, err error) {
	t.Helper()
	var d *client.DialError
	require.ErrorAs(t, err, &d)
	assert.Equal(t, phase, d.Phase)
}

func TestRefusalsAreTyped(t *testing.T) {
	for code := range transport.Codes + 1 {
		code := transport.Code(code)
		g := startGateway(t, clienttest.Config{Hello: func(*straitv1.ClientHello, *straitv1.ServerHello) error {
			return transport.Reason{Code: code, Text: "not today", RetryAfter: 5 * time.Second}
		}})
		err := dialFails(t, client.PhaseHello, g.Addr(), client.Options{Pin: g.Pin()})
		assert.ErrorIs(t, err, code)
		var r transport.Reason
		require.ErrorAs(t, err, &r)
		assert.Equal(t, transport.Reason{Code: code, Text: "not today", RetryAfter: 5 * time.Second, Remote: true}, r)
	}
}

func TestAHelloThatBreaksTheProtocolIsRefusedAndTold(t *testing.T) {
	for text, change := range map[string]func(*straitv1.ServerHello){
		"speaks version 2":             func(h *straitv1.ServerHello) { h.Version = 2 },
		"session_id of 15 bytes":       func(h *straitv1.ServerHello) { h.SessionId = h.SessionId[1:] },
		"max_message_bytes 16383":      func(h *straitv1.ServerHello) { h.MaxMessageBytes = 16383 },
		"max_unreliable_bytes 1099":    func(h *straitv1.ServerHello) { h.MaxUnreliableBytes = 1099 },
		"SERVER_HELLO does not parse":  nil,
		"a second SERVER_HELLO":        func(*straitv1.ServerHello) {},
		"DATA before SERVER_HELLO":     nil,
		"frame type 0x0B is unknown":   nil,
		"CLIENT_HELLO came from the g": nil,
		"SERVER_HELLO of 4097 bytes":   nil,
	} {
		t.Run(text, func(t *testing.T) {
			told := make(chan string, 1)
			g := startGateway(t, clienttest.Config{Raw: func(conn *tls.Conn) {
				c := rawConn{conn}
				_, _, _ = c.frame()
				switch text {
				case "SERVER_HELLO does not parse":
					c.send(wire.ServerHello, 0, []byte{0xff})
				case "DATA before SERVER_HELLO":
					c.send(wire.Data, 0, []byte("x"))
				case "frame type 0x0B is unknown":
					c.send(wire.Type(0x0b), 0, nil)
				case "CLIENT_HELLO came from the g":
					c.send(wire.ClientHello, 0, nil)
				case "SERVER_HELLO of 4097 bytes":
					_, _ = c.Write(wire.AppendHeader(nil, wire.Header{Type: wire.ServerHello, Length: 4097}))
				case "a second SERVER_HELLO":
					c.send(wire.ServerHello, 0, marshal(t, goodHello()))
					c.send(wire.ServerHello, 0, marshal(t, goodHello()))
				default:
					h := goodHello()
					change(h)
					c.send(wire.ServerHello, 0, marshal(t, h))
				}
				_, reason, _ := c.closed()
				told <- reason
			}})
			c, err := client.Dial(timeout(t), g.Addr(), client.Options{Pin: g.Pin()})
			if err == nil { // the second one comes after Dial
				<-c.Done()
				err = c.Err()
				require.NoError(t, c.Close())
			} else {
				assertPhase(t, client.PhaseHello, err)
			}
			want := transport.ProtocolError
			if strings.Contains(text, "version") {
				want = transport.Version
			}
			assert.ErrorIs(t, err, want)
			assert.ErrorContains(t, err, text)
			assert.Contains(t, <-told, text)
		})
	}
}

func TestATokenThatFitsNoHelloIsRefusedBeforeConnecting(t *testing.T) {
	err := dialFails(t, client.PhaseToken, "127.0.0.1:1", client.Options{
		Token: func(context.Context) ([]byte, error) { return make([]byte, 16384), nil },
	})
	assert.ErrorContains(t, err, "at most 16384")
}
