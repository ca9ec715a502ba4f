package grpc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync/atomic"

	gogrpc "google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"strait/proto/batch"
	"strait/upstream/endpoint"
)

// maxHeaders bounds what a server may send in front of a stream and behind it, in
// bytes.
const maxHeaders = 64 << 10

// connection is one connection to a server, and gRPC on it.
type connection struct {
	*gogrpc.ClientConn
	raw     net.Conn
	address string
	secure  bool
}

// connect connects to address and authenticates it where the endpoint is Secure.
// gRPC is given the connection when it first wants one, and never another.
func connect(ctx context.Context, e endpoint.Endpoint, address string, conf *tls.Config) (*connection, error) {
	var d net.Dialer
	raw, err := d.DialContext(ctx, e.Network, address)
	if err != nil {
		return nil, err
	}
	conn, creds := raw, insecure.NewCredentials()
	if e.Secure {
		secured, err := handshake(ctx, raw, e.Host, conf)
		if err != nil {
			_ = raw.Close()
			return nil, fmt.Errorf("TLS with %s: %w", address, err)
		}
		conn, creds = secured, shaken{state: secured.ConnectionState()}
	}
	authority := "localhost"
	if e.Network != "unix" {
		authority = net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port)))
	}
	var given atomic.Bool
	cc, err := gogrpc.NewClient("passthrough:///"+address,
		gogrpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			if given.Swap(true) {
				return nil, errReconnect
			}
			return conn, nil
		}),
		gogrpc.WithTransportCredentials(creds),
		gogrpc.WithAuthority(authority),
		gogrpc.WithUserAgent("strait"),
		gogrpc.WithNoProxy(),
		gogrpc.WithDisableServiceConfig(),
		gogrpc.WithDisableHealthCheck(), // it is asked for here, and once
		gogrpc.WithDisableRetry(),
		gogrpc.WithIdleTimeout(0),
		gogrpc.WithMaxHeaderListSize(maxHeaders),
		gogrpc.WithDefaultCallOptions(
			gogrpc.MaxCallRecvMsgSize(batch.MaxBatch),
			gogrpc.MaxCallSendMsgSize(batch.MaxBatch),
		),
	)
	if err != nil {
		_ = raw.Close()
		return nil, fmt.Errorf("gRPC with %s: %w", address, err)
	}
	return &connection{ClientConn: cc, raw: raw, address: address, secure: e.Secure}, nil
}

// Close ends the connection at once and returns after gRPC's goroutines have. It
// does not say good-bye, which could block: CloseWrite has, if the end was an orderly
// one. Idempotent.
func (c *connection) Close() {
	_ = c.raw.Close()
	_ = c.ClientConn.Close() // its error says that it was closed before
}

// handshake authenticates the server and agrees on HTTP/2. conf may be nil and is not
// changed.
func handshake(ctx context.Context, raw net.Conn, host string, conf *tls.Config) (*tls.Conn, error) {
	if conf == nil {
		conf = &tls.Config{}
	} else {
		conf = conf.Clone()
	}
	if conf.ServerName == "" {
		conf.ServerName = host
	}
	conf.DynamicRecordSizingDisabled = true
	conf.NextProtos = []string{"h2"}
	secured := tls.Client(raw, conf)
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	if p := secured.ConnectionState().NegotiatedProtocol; p != "h2" {
		return nil, fmt.Errorf("the server did not agree on HTTP/2 by ALPN (it said %q), which gRPC needs", p)
	}
	return secured, nil
}

// shaken tells gRPC of a connection that is authenticated already.
type shaken struct{ state tls.ConnectionState }

// ClientHandshake implements [credentials.TransportCredentials].
func (s shaken) ClientHandshake(_ context.Context, _ string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return conn, credentials.TLSInfo{
		State:          s.state,
		CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity},
	}, nil
}

// ServerHandshake implements [credentials.TransportCredentials]; there is no server.
func (s shaken) ServerHandshake(net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.ErrUnsupported
}

// Info implements [credentials.TransportCredentials].
func (s shaken) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "tls"}
}

// Clone implements [credentials.TransportCredentials].
func (s shaken) Clone() credentials.TransportCredentials { return s }

// OverrideServerName implements [credentials.TransportCredentials]; the name was
// verified already.
func (s shaken) OverrideServerName(string) error { return nil }
