package grpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	gogrpc "google.golang.org/grpc"

	"strait/upstream/remote"
)

// description of the call for gRPC.
var description = gogrpc.StreamDesc{StreamName: "Attach", ServerStreams: true, ClientStreams: true}

// stream is one Attach call on a connection of its own.
type stream struct {
	// Static.
	conn   *connection
	call   gogrpc.ClientStream
	cancel context.CancelFunc

	first    chan struct{} // closed when the first batch, or the end, was received
	firstErr error         // of the first batch; set before first is closed

	end   sync.Once
	ended chan struct{} // closed when Read failed, or Close was called
	cause error         // why; set before ended is closed

	// Owned by the reader, from when first is closed.
	in    incoming
	begun bool

	// Owned by the writer.
	out outgoing
}

// open calls Attach. ctx bounds the opening alone.
func (c *connection) open(ctx context.Context) (*stream, error) {
	life, cancel := context.WithCancel(context.Background())
	stop := context.AfterFunc(ctx, cancel)
	call, err := c.NewStream(life, &description, method,
		gogrpc.ForceCodecV2(codec{}),
		gogrpc.MaxRetryRPCBufferSize(0), // nothing is kept for a retry
	)
	if !stop() {
		cancel()
		return nil, fmt.Errorf("no gRPC answer from %s: %w", c.address, context.Cause(ctx))
	}
	if err != nil {
		cancel()
		return nil, ended(c.address, err)
	}
	s := &stream{conn: c, call: call, cancel: cancel, first: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		s.firstErr = call.RecvMsg(&s.in)
		close(s.first)
	}()
	return s, nil
}

// early waits until the backend has said something, but no longer than d, and returns
// why the stream has ended; nil when it has not.
func (s *stream) early(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-s.first:
		if s.firstErr != nil {
			return ended(s.conn.address, s.firstErr)
		}
	case <-timer.C:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// Write implements [remote.Stream]. When the stream has ended it waits for Read to
// say why.
func (s *stream) Write(b []byte) error {
	s.out.batch = b[remote.Headroom:]
	err := s.call.SendMsg(&s.out)
	s.out.batch = nil
	if err == nil {
		return nil
	}
	if errors.Is(err, io.EOF) { // gRPC's way to refer to RecvMsg
		<-s.ended
		if s.cause == io.EOF {
			return fmt.Errorf("the server at %s ended the stream: %w", s.conn.address, io.ErrClosedPipe)
		}
		return s.cause
	}
	return fmt.Errorf("cannot send to %s: %w", s.conn.address, err)
}

// Read implements [remote.Stream].
func (s *stream) Read() ([]byte, error) {
	var err error
	if s.begun {
		err = s.call.RecvMsg(&s.in)
	} else {
		<-s.first
		s.begun = true
		err = s.firstErr
	}
	if err != nil {
		s.in.free()
		s.fail(ended(s.conn.address, err))
		return nil, s.cause
	}
	return s.in.batch.ReadOnlyData(), nil
}

// fail notes why the stream ended; the first cause counts.
func (s *stream) fail(cause error) {
	s.end.Do(func() {
		s.cause = cause
		close(s.ended)
	})
}

// CloseWrite implements [remote.Stream].
func (s *stream) CloseWrite() error { return s.call.CloseSend() }

// Close implements [remote.Stream]. It returns when the goroutines of the stream have
// ended.
func (s *stream) Close() error {
	s.fail(fmt.Errorf("the stream to %s: %w", s.conn.address, net.ErrClosed))
	s.cancel()
	s.conn.Close()
	<-s.first
	return nil
}
