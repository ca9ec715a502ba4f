package grpc_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	gogrpc "google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"strait/backend"
	"strait/proto/batch"
	"strait/proto/straitv1"
	"strait/upstream"
	"strait/upstream/endpoint"
	"strait/upstream/grpc"
	"strait/upstream/remote"
	"strait/upstream/upstreamtest"
)

func TestNoServer(t *testing.T) {
	l, url := tcpListener(t)
	require.NoError(t, l.Close())
	_, err := dial(t, url)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	_, err = dial(t, "grpc+unix://"+t.TempDir()+"/absent.sock")
	require.ErrorIs(t, err, syscall.ENOENT)
}

// A server without game logic is refused by Dial, so that no session goes there.
func TestServerWithoutTheService(t *testing.T) {
	l, url := unixListener(t)
	start(t, l, nil)
	_, err := dial(t, url)
	var missing *grpc.MissingError
	require.ErrorAs(t, err, &missing)
	require.ErrorContains(t, err, "the server at "+l.Addr().String()+" does not implement strait.v1.GameLogic: unknown service")
}

// Where the refusal comes late, Read tells.
func TestGameLogicThatIsNotImplemented(t *testing.T) {
	late := make(chan struct{})
	s, _ := pair(t, func(gogrpc.ServerStream) error {
		<-late
		return status.Error(codes.Unimplemented, "method Attach not implemented")
	})
	close(late)
	_, err := s.Read()
	var missing *grpc.MissingError
	require.ErrorAs(t, err, &missing)
	require.Equal(t, "method Attach not implemented", missing.Says)
}

func TestHealth(t *testing.T) {
	l, url := unixListener(t)
	attached := make(chan struct{}, 16)
	srv := start(t, l, func(s gogrpc.ServerStream) error {
		attached <- struct{}{}
		<-s.Context().Done()
		return nil
	})
	for _, c := range []struct {
		service string
		status  healthpb.HealthCheckResponse_ServingStatus
		say     string
	}{
		{"", healthpb.HealthCheckResponse_NOT_SERVING, "says that the server is NOT_SERVING"},
		{grpc.Service, healthpb.HealthCheckResponse_NOT_SERVING, "says that strait.v1.GameLogic is NOT_SERVING"},
		{grpc.Service, healthpb.HealthCheckResponse_UNKNOWN, "says that strait.v1.GameLogic is UNKNOWN"},
	} {
		srv.health.SetServingStatus(c.service, c.status)
		_, err := dial(t, url)
		var unhealthy *grpc.HealthError
		require.ErrorAs(t, err, &unhealthy)
		require.Equal(t, c.status, unhealthy.Status)
		require.ErrorContains(t, err, c.say)
		srv.health.SetServingStatus(c.service, healthpb.HealthCheckResponse_SERVING)
	}
	require.Empty(t, attached, "a server that does not serve was attached to")
	s, err := dial(t, url)
	require.NoError(t, err)
	require.NoError(t, s.Close())
	<-attached
}

func TestServerWithoutHealthService(t *testing.T) {
	l, url := unixListener(t)
	s := gogrpc.NewServer(gogrpc.ForceServerCodecV2(plain{}))
	s.RegisterService(&description, logicFunc(echoBytes))
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	stream, err := dial(t, url)
	require.NoError(t, err)
	require.NoError(t, stream.Write(headed([]byte("x"))))
	b, err := stream.Read()
	require.NoError(t, err)
	require.Equal(t, "x", string(b))
	require.NoError(t, stream.Close())
	s.Stop()
	require.NoError(t, <-done)
}

func TestHealthServiceThatFails(t *testing.T) {
	l, url := unixListener(t)
	start(t, l, echoBytes, gogrpc.UnaryInterceptor(
		func(context.Context, any, *gogrpc.UnaryServerInfo, gogrpc.UnaryHandler) (any, error) {
			return nil, status.Error(codes.PermissionDenied, "not for gateways")
		}))
	_, err := dial(t, url)
	require.Equal(t, codes.PermissionDenied, status.Code(err))
	require.ErrorContains(t, err, "not for gateways")
}

func TestLogicThatEndsAtOnce(t *testing.T) {
	for name, c := range map[string]struct {
		end  error
		code codes.Code
		say  string
	}{
		"well": {nil, codes.Unknown, "no game logic at %s: it ended the stream at once"},
		"ill":  {status.Error(codes.FailedPrecondition, "the world is full"), codes.FailedPrecondition, "the stream to %s ended"},
	} {
		t.Run(name, func(t *testing.T) {
			l, url := unixListener(t)
			start(t, l, func(gogrpc.ServerStream) error { return c.end })
			_, err := dial(t, url)
			require.Equal(t, c.code, status.Code(err))
			require.ErrorContains(t, err, fmt.Sprintf(c.say, l.Addr()))
		})
	}
}

func TestServerKilled(t *testing.T) {
	s, srv := pair(t, echoBytes, gogrpc.ForceServerCodecV2(plain{}))
	require.NoError(t, s.Write(headed([]byte("x"))))
	_, err := s.Read()
	require.NoError(t, err)
	srv.Stop()
	_, err = s.Read()
	require.Equal(t, codes.Unavailable, status.Code(err), "%v", err)
	require.False(t, errors.Is(err, io.EOF), "killed is not ended")
	require.Equal(t, codes.Unavailable, status.Code(s.Write(headed([]byte("x")))))
}

// GOAWAY lets the stream live and stops new ones; the backend ends it when it likes.
func TestGoAway(t *testing.T) {
	l, url := unixListener(t)
	srv := start(t, l, echoBytes, gogrpc.ForceServerCodecV2(plain{}))
	s, err := dial(t, url)
	require.NoError(t, err)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		srv.GracefulStop()
	}()
	require.Eventually(t, func() bool {
		other, err := dial(t, url)
		if err == nil {
			_ = other.Close()
		}
		return err != nil
	}, upstreamtest.Patience, time.Millisecond)
	for range 100 {
		require.NoError(t, s.Write(headed([]byte("still here"))))
		b, err := s.Read()
		require.NoError(t, err)
		require.Equal(t, "still here", string(b))
	}
	require.NoError(t, s.CloseWrite())
	_, err = s.Read()
	require.Equal(t, io.EOF, err)
	require.NoError(t, s.Close())
	<-stopped
}

func TestDialEndsWithItsContext(t *testing.T) {
	l, url := tcpListener(t)
	defer l.Close()
	c := grpc.Carrier{}
	for _, url := range []string{url, "grpcs" + url[len("grpc"):]} {
		e, err := endpoint.Parse(url, endpoint.GRPC)
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		_, err = c.Dial(ctx, e, l.Addr().String(), nil) // nothing is ever answered
		cancel()
		require.ErrorIs(t, err, context.DeadlineExceeded)
	}

	// A server whose health service hangs.
	hl, url := unixListener(t)
	start(t, hl, echoBytes, gogrpc.UnaryInterceptor(
		func(ctx context.Context, _ any, _ *gogrpc.UnaryServerInfo, _ gogrpc.UnaryHandler) (any, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}))
	e, err := endpoint.Parse(url, endpoint.GRPC)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = c.Dial(ctx, e, e.Path, nil)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	ctx, cancel = context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	_, err = c.Dial(ctx, e, e.Path, nil)
	require.ErrorIs(t, err, context.Canceled)
}

func TestServerThatIsNoServer(t *testing.T) {
	cert, _ := certificate(t, "localhost")
	for name, wrap := range map[string]func(net.Listener) net.Listener{
		"HTTP/1.1": func(l net.Listener) net.Listener { return l },
		"TLS": func(l net.Listener) net.Listener {
			return tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			l, url := tcpListener(t)
			l = wrap(l)
			done := make(chan struct{})
			go func() {
				defer close(done)
				conn, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
				_ = conn.Close()
			}()
			_, err := dial(t, url)
			require.Equal(t, codes.Unavailable, status.Code(err))
			require.ErrorContains(t, err, "for TLS the scheme is grpcs")
			<-done
			require.NoError(t, l.Close())
		})
	}
}

func TestBackendIsVerified(t *testing.T) {
	cert, roots := certificate(t, "game.example")
	l, _ := tcpListener(t)
	start(t, l, echoBytes, serverTLS(cert))
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	try := func(address, port, host string, conf *tls.Config) error {
		c := grpc.Carrier{}
		e, err := endpoint.Parse("grpcs://"+net.JoinHostPort(host, port), endpoint.GRPC)
		require.NoError(t, err)
		s, err := c.Dial(t.Context(), e, address, conf)
		if err == nil {
			_ = s.Close()
		}
		return err
	}
	address := l.Addr().String()
	conf := &tls.Config{RootCAs: roots}
	require.NoError(t, try(address, port, "game.example", conf))
	require.Equal(t, &tls.Config{RootCAs: roots}, conf, "the configuration was changed")
	require.NoError(t, try(address, port, "other.example", &tls.Config{RootCAs: roots, ServerName: "game.example"}))
	var unverified *tls.CertificateVerificationError
	require.ErrorAs(t, try(address, port, "other.example", &tls.Config{RootCAs: roots}), &unverified)
	require.ErrorAs(t, try(address, port, "game.example", nil), &unverified)

	// TLS without HTTP/2.
	raw, _ := tcpListener(t)
	other := tls.NewListener(raw, &tls.Config{Certificates: []tls.Certificate{cert}})
	accepted := make(chan struct{})
	go func() {
		defer close(accepted)
		if c, err := other.Accept(); err == nil {
			_ = c.(*tls.Conn).Handshake()
			_ = c.Close()
		}
	}()
	require.ErrorContains(t, try(raw.Addr().String(), port, "game.example", conf), "did not agree on HTTP/2 by ALPN")
	<-accepted
	require.NoError(t, other.Close())
}

// A pool waits for a backend to become healthy, and then uses it.
func TestPoolWaitsForHealth(t *testing.T) {
	g := upstreamtest.NewGateway(t, 0)
	behind, err := net.Listen("unix", t.TempDir()+"/behind.sock")
	require.NoError(t, err)
	serve(t, behind, backend.Funcs{OnMessage: func(s *backend.Session, m backend.Message) {
		_ = s.Send(m.Delivery, m.Channel, m.Payload)
	}}, backend.Config{Name: "good"})
	l, url := unixListener(t)
	srv := start(t, l, bridge(behind.Addr().String()))
	srv.health.SetServingStatus(grpc.Service, healthpb.HealthCheckResponse_NOT_SERVING)
	p, err := remote.New(remote.Config{Backends: []string{url}, Streams: 1, Logger: quiet()}, grpc.Carrier{})
	require.NoError(t, err)
	g.Attach(p)
	s := g.Open(upstream.Announcement{})
	s.SayReliable("held back")
	require.Eventually(t, func() bool { return p.Status().Streams[0].Error != "" }, upstreamtest.Patience, time.Millisecond)
	require.Contains(t, p.Status().Streams[0].Error, "strait.v1.GameLogic is NOT_SERVING")
	ok, why := p.Ready()
	require.False(t, ok)
	require.Contains(t, why, "NOT_SERVING")
	srv.health.SetServingStatus(grpc.Service, healthpb.HealthCheckResponse_SERVING)
	s.Expect("held back")
}

// TestBackendThatBreaksOff plays a backend that misbehaves on its first stream and
// leaves the second one to a real one.
func TestBackendThatBreaksOff(t *testing.T) {
	kick := func(handle uint64) *straitv1.LogicBatch {
		return &straitv1.LogicBatch{Commands: []*straitv1.Command{{Kind: &straitv1.Command_Close{
			Close: &straitv1.CloseSession{Session: handle, Code: 8, Reason: "not to be carried out"},
		}}}}
	}
	for name, bad := range map[string]func(s gogrpc.ServerStream, handle uint64) error{
		"ends": func(gogrpc.ServerStream, uint64) error { return nil },
		"fails": func(gogrpc.ServerStream, uint64) error {
			return status.Error(codes.Internal, "the world has ended")
		},
		"wrong message": func(s gogrpc.ServerStream, h uint64) error {
			b := kick(h)
			b.ProtoReflect().SetUnknown([]byte{0xff, 0xff})
			return sendAndStay(s, b)
		},
		"5 MiB batch": func(s gogrpc.ServerStream, h uint64) error {
			b := kick(h)
			b.Commands = append(b.Commands, &straitv1.Command{Kind: &straitv1.Command_Send{
				Send: &straitv1.Send{Payload: make([]byte, batch.MaxBatch+1<<20)},
			}})
			return sendAndStay(s, b)
		},
		"another version": func(s gogrpc.ServerStream, h uint64) error {
			b := kick(h)
			b.Hello = &straitv1.LogicHello{Version: 2}
			return sendAndStay(s, b)
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := upstreamtest.NewGateway(t, 0)
			behind, err := net.Listen("unix", t.TempDir()+"/behind.sock")
			require.NoError(t, err)
			serve(t, behind, backend.Funcs{OnMessage: func(s *backend.Session, m backend.Message) {
				_ = s.Send(m.Delivery, m.Channel, m.Payload)
			}}, backend.Config{Name: "good"})
			l, url := unixListener(t)
			first := make(chan struct{}, 1)
			first <- struct{}{}
			start(t, l, func(s gogrpc.ServerStream) error {
				select {
				case <-first:
				default:
					return bridge(behind.Addr().String())(s)
				}
				for { // until the session is announced on this stream
					var in straitv1.GatewayBatch
					if err := s.RecvMsg(&in); err != nil {
						return err
					}
					for _, e := range in.GetEvents() {
						if e.GetOpened() != nil {
							return bad(s, e.GetSession())
						}
					}
				}
			})
			p, err := remote.New(remote.Config{Backends: []string{url}, Streams: 1, Logger: quiet()}, grpc.Carrier{})
			require.NoError(t, err)
			g.Attach(p)
			s := g.Open(upstream.Announcement{})
			s.SayReliable("lost or not")
			require.Eventually(t, func() bool { return p.Status().Streams[0].Name == "good" }, upstreamtest.Patience, time.Millisecond)
			s.SayReliable("again")
			for s.Next().Payload != "again" {
			}
			require.True(t, s.IsOpen(), "a command of a batch that cannot be used was carried out")
			require.EqualValues(t, 1, p.Status().Streams[0].Lost)
			require.NotEmpty(t, p.Status().Streams[0].Error)
		})
	}
}

// sendAndStay leaves it to the gateway to end the stream.
func sendAndStay(s gogrpc.ServerStream, b *straitv1.LogicBatch) error {
	if err := s.SendMsg(b); err != nil {
		return err
	}
	<-s.Context().Done()
	return nil
}
