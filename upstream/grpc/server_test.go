package grpc_test

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	gogrpc "google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	"strait/proto/straitv1"
	"strait/upstream/grpc"
)

// logicFunc serves one Attach call.
type logicFunc func(gogrpc.ServerStream) error

// description is what protoc would generate for GameLogic.
var description = gogrpc.ServiceDesc{
	ServiceName: grpc.Service,
	HandlerType: (*any)(nil),
	Streams: []gogrpc.StreamDesc{{
		StreamName:    "Attach",
		Handler:       func(srv any, s gogrpc.ServerStream) error { return srv.(logicFunc)(s) },
		ServerStreams: true,
		ClientStreams: true,
	}},
}

// server is a gRPC server of game logic, with the health service.
type server struct {
	*gogrpc.Server
	health *health.Server
	addr   net.Addr
}

// start serves logic on l until the test ends; nil is a server without game logic.
func start(t testing.TB, l net.Listener, logic logicFunc, options ...gogrpc.ServerOption) *server {
	t.Helper()
	s := &server{gogrpc.NewServer(options...), health.NewServer(), l.Addr()}
	healthpb.RegisterHealthServer(s, s.health)
	if logic != nil {
		s.RegisterService(&description, logic)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		assert.NoError(t, s.Serve(l))
	}()
	t.Cleanup(func() {
		s.Stop()
		<-done
	})
	return s
}

func unixListener(t testing.TB) (net.Listener, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "logic.sock")
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	return l, "grpc+unix://" + path
}

func tcpListener(t testing.TB) (net.Listener, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return l, "grpc://" + l.Addr().String()
}

func serverTLS(cert tls.Certificate) gogrpc.ServerOption {
	return gogrpc.Creds(credentials.NewServerTLSFromCert(&cert))
}

// bridge passes batches on to a backend that serves the link at path.
func bridge(path string) logicFunc {
	return func(s gogrpc.ServerStream) error {
		raw, err := net.Dial("unix", path)
		if err != nil {
			return err
		}
		conn := raw.(*net.UnixConn)
		defer conn.Close()
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			for {
				var in straitv1.GatewayBatch
				if err := s.RecvMsg(&in); err != nil {
					if errors.Is(err, io.EOF) {
						_ = conn.CloseWrite()
					} else {
						_ = conn.Close()
					}
					return
				}
				b, err := proto.Marshal(&in)
				if err == nil {
					_, err = conn.Write(frame(b))
				}
				if err != nil {
					_ = conn.Close()
					return
				}
			}
		}()
		in := bufio.NewReader(conn)
		for {
			b, err := readFrame(in, nil)
			if err != nil {
				if errors.Is(err, io.EOF) {
					err = nil
				}
				return err
			}
			var out straitv1.LogicBatch
			if err := proto.Unmarshal(b, &out); err != nil {
				return err
			}
			if err := s.SendMsg(&out); err != nil {
				return err
			}
		}
	}
}

// frame is a batch behind its length.
func frame(b []byte) []byte { return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...) }

// readFrame reads one batch into b's memory where it is enough.
func readFrame(in *bufio.Reader, b []byte) ([]byte, error) {
	var length [4]byte
	if _, err := io.ReadFull(in, length[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint32(length[:]))
	if cap(b) < n {
		b = make([]byte, n)
	}
	_, err := io.ReadFull(in, b[:n])
	return b[:n], err
}

// plain is a codec for []byte on the server's side.
type plain struct{}

func (plain) Name() string { return "proto" }

func (plain) Marshal(v any) (mem.BufferSlice, error) {
	if m, ok := v.(proto.Message); ok { // of the health service
		b, err := proto.Marshal(m)
		return mem.BufferSlice{mem.SliceBuffer(b)}, err
	}
	return mem.BufferSlice{mem.Copy(*v.(*[]byte), mem.DefaultBufferPool())}, nil
}

func (plain) Unmarshal(data mem.BufferSlice, v any) error {
	if m, ok := v.(proto.Message); ok {
		return proto.Unmarshal(data.Materialize(), m)
	}
	b := v.(*[]byte)
	*b = append((*b)[:0], make([]byte, data.Len())...)
	data.CopyTo(*b)
	return nil
}

// echoBytes sends each message back as it is; for a server with the codec plain.
func echoBytes(s gogrpc.ServerStream) error {
	var b []byte
	for {
		if err := s.RecvMsg(&b); err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return err
		}
		if err := s.SendMsg(&b); err != nil {
			return err
		}
	}
}
