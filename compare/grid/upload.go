package grid

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"sync"
	"time"

	"strait/compare/grid/contender"
)

// chunk is what is written at once, in bytes.
const chunk = 64 << 10

// sink takes what uploads send, until ctx ends.
func sink(ctx context.Context, o order, replies *json.Encoder) error {
	l, err := net.Listen("tcp", o.At.String())
	if err != nil {
		return err
	}
	var conns sync.WaitGroup
	defer conns.Wait()
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	if err := replies.Encode(reply{Endpoint: &contender.Endpoint{Addr: l.Addr().String()}}); err != nil {
		return err
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return nil // ctx has ended, or there is no sense in another try
		}
		conns.Go(func() {
			defer context.AfterFunc(ctx, func() { _ = c.Close() })()
			_, _ = io.Copy(io.Discard, c)
			_ = c.Close()
		})
	}
}

// uploads is on how many connections an upload sends, as programs do that want to be
// quick: one alone takes ten seconds and more to fill a long queue, and empties it again
// with each loss.
const uploads = 4

// upload sends as fast as the link takes it, until ctx ends.
func upload(ctx context.Context, o order) error {
	var all sync.WaitGroup
	for range uploads {
		all.Go(func() { send(ctx, o.Endpoint.Addr) })
	}
	all.Wait()
	return nil
}

// send fills one connection; when it breaks it makes another.
func send(ctx context.Context, addr string) {
	data := make([]byte, chunk)
	for ctx.Err() == nil {
		if c, err := new(net.Dialer).DialContext(ctx, "tcp", addr); err == nil {
			stop := context.AfterFunc(ctx, func() { _ = c.Close() })
			for err == nil {
				_ = c.SetWriteDeadline(time.Now().Add(stuck))
				_, err = c.Write(data)
			}
			stop()
			_ = c.Close()
		}
		select {
		case <-time.After(again):
		case <-ctx.Done():
		}
	}
}

const (
	stuck = 3 * time.Second // after which an upload gives its connection up
	again = 250 * time.Millisecond
)
