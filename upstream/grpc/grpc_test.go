package grpc_test

import (
	"bytes"
	"io"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	gogrpc "google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"strait/proto/batch"
	"strait/upstream/endpoint"
	"strait/upstream/grpc"
	"strait/upstream/remote"
	"strait/upstream/upstreamtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// dial opens a stream to a backend on this machine.
func dial(t testing.TB, url string) (remote.Stream, error) {
	t.Helper()
	c := grpc.Carrier{}
	e, err := endpoint.Parse(url, endpoint.GRPC)
	require.NoError(t, err)
	address := e.Path
	if e.Network == "tcp" {
		address = net.JoinHostPort("127.0.0.1", strconv.Itoa(int(e.Port)))
	}
	return c.Dial(t.Context(), e, address, nil)
}

// pair is a stream to a server of the given game logic.
func pair(t testing.TB, logic logicFunc, options ...gogrpc.ServerOption) (remote.Stream, *server) {
	t.Helper()
	l, url := unixListener(t)
	srv := start(t, l, logic, options...)
	s, err := dial(t, url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s, srv
}

// headed is a batch with the room that Write wants in front.
func headed(b []byte) []byte { return append(make([]byte, remote.Headroom), b...) }

func TestBatchesOfAllSizes(t *testing.T) {
	s, _ := pair(t, echoBytes, gogrpc.ForceServerCodecV2(plain{}))
	for i, size := range []int{0, 1, 64, 1024, 1025, 16 << 10, 65536, 1 << 20, 3 << 20, batch.MaxBatch, 5} {
		b := bytes.Repeat([]byte{byte(i + 1)}, remote.Headroom+size)
		require.NoError(t, s.Write(b))
		got, err := s.Read()
		require.NoError(t, err)
		require.True(t, bytes.Equal(b[remote.Headroom:], got), "size %d", size)
	}
	require.NoError(t, s.CloseWrite())
	_, err := s.Read()
	require.ErrorIs(t, err, io.EOF)
}

// What Read gave stays as it is until the next Read, and Write keeps nothing.
func TestBuffersAreBorrowed(t *testing.T) {
	s, _ := pair(t, echoBytes, gogrpc.ForceServerCodecV2(plain{}))
	const n = 50
	for _, size := range []int{64, 2000, 100 << 10} {
		sent := make(chan error, 1)
		go func() {
			b := make([]byte, remote.Headroom+size)
			for i := range n {
				for j := range b {
					b[j] = byte(i)
				}
				if err := s.Write(b); err != nil {
					sent <- err
					return
				}
			}
			sent <- nil
		}()
		for i := range n {
			got, err := s.Read()
			require.NoError(t, err)
			require.True(t, bytes.Equal(bytes.Repeat([]byte{byte(i)}, size), got), "batch %d of %d bytes", i, size)
		}
		require.NoError(t, <-sent)
	}
}

func TestBatchAboveTheLimit(t *testing.T) {
	for name, size := range map[string]int{"one byte": batch.MaxBatch + 1, "a MiB": batch.MaxBatch + 1<<20} {
		t.Run(name, func(t *testing.T) {
			s, _ := pair(t, func(s gogrpc.ServerStream) error {
				b := make([]byte, size)
				if err := s.RecvMsg(new([]byte)); err != nil {
					return err
				}
				_ = s.SendMsg(&b)
				<-s.Context().Done() // the gateway has to end it
				return nil
			}, gogrpc.ForceServerCodecV2(plain{}))
			require.NoError(t, s.Write(headed(nil)))
			_, err := s.Read()
			require.Equal(t, codes.ResourceExhausted, status.Code(err), "%v", err)
			require.ErrorContains(t, err, "larger than max")
			require.Eventually(t, func() bool { return s.Write(headed(nil)) != nil }, upstreamtest.Patience, time.Millisecond)
		})
	}
}

func TestWriteSaysWhyTheStreamEnded(t *testing.T) {
	s, _ := pair(t, func(s gogrpc.ServerStream) error {
		var b []byte
		if err := s.RecvMsg(&b); err != nil {
			return err
		}
		return status.Error(codes.FailedPrecondition, "the world is full")
	}, gogrpc.ForceServerCodecV2(plain{}))
	read := make(chan error, 1)
	go func() {
		_, err := s.Read()
		read <- err
	}()
	var err error
	for err == nil {
		err = s.Write(headed([]byte("x")))
	}
	for _, err := range []error{err, <-read} {
		require.Equal(t, codes.FailedPrecondition, status.Code(err))
		require.ErrorContains(t, err, "the world is full")
	}
}

func TestCloseUnblocksBothEnds(t *testing.T) {
	s, _ := pair(t, func(s gogrpc.ServerStream) error {
		<-s.Context().Done() // reads nothing
		return nil
	})
	done := make(chan error, 2)
	go func() {
		_, err := s.Read()
		done <- err
	}()
	full := make(chan struct{})
	go func() {
		b := headed(make([]byte, 1<<20))
		for i := 0; ; i++ {
			if i == 1 {
				close(full) // the window is less than one batch, so that the next ones wait
			}
			if err := s.Write(b); err != nil {
				done <- err
				return
			}
		}
	}()
	<-full
	require.NoError(t, s.Close())
	for range 2 {
		select {
		case err := <-done:
			require.ErrorIs(t, err, net.ErrClosed)
		case <-time.After(upstreamtest.Patience):
			require.FailNow(t, "still blocked")
		}
	}
	require.NoError(t, s.Close(), "again")
	_, err := s.Read()
	require.ErrorIs(t, err, net.ErrClosed)
	require.ErrorIs(t, s.Write(headed(nil)), net.ErrClosed)
}

// A backend need not read what it was sent before the end.
func TestCloseDoesNotWaitForTheServer(t *testing.T) {
	s, _ := pair(t, func(s gogrpc.ServerStream) error {
		<-s.Context().Done()
		return nil
	})
	require.NoError(t, s.Write(headed(make([]byte, batch.MaxBatch))))
	began := time.Now()
	require.NoError(t, s.Close())
	require.Less(t, time.Since(began), 3*time.Second)
}

// A server may answer only after it was spoken to.
func TestServerThatWaitsForTheFirstBatch(t *testing.T) {
	s, _ := pair(t, func(s gogrpc.ServerStream) error {
		if err := s.RecvMsg(new(emptypb.Empty)); err != nil {
			return err
		}
		return s.SendMsg(new(emptypb.Empty))
	})
	require.NoError(t, s.Write(headed(nil)))
	b, err := s.Read()
	require.NoError(t, err)
	require.Empty(t, b)
	_, err = s.Read()
	require.Equal(t, io.EOF, err)
	require.ErrorIs(t, s.Write(headed(nil)), io.ErrClosedPipe)
}
