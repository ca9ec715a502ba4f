//go:build linux

package load

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Sessions opens new sessions, parallel at a time, for as long as s says. Each
// does a full handshake, sends one message of MinSize on its stream, gets it back and
// is ended without waiting: in TLS 1.3 only an answer proves that the server has
// finished the handshake, too. With Datagrams its lane is bound as well. An echo of
// what is measured is such a session; its latency is from connect to the last answer.
func Sessions(ctx context.Context, server Server, parallel int, s Stretch) (out *Measured, err error) {
	if server.QUIC == NoQUIC {
		d, err := newDialer(server)
		if err != nil {
			return nil, err
		}
		open := func(ctx context.Context) (*client, error) { return d.dial(ctx, MinSize) }
		return sessions(ctx, parallel, s, open, (*client).close)
	}
	d, err := newQUICDialer(server, parallel)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	open := func(ctx context.Context) (*quicClient, error) { return d.dial(ctx, true) }
	return sessions(ctx, parallel, s, open, (*quicClient).close)
}

func sessions[C any](ctx context.Context, parallel int, s Stretch, open func(context.Context) (C, error), shut func(C) error) (*Measured, error) {
	var err error
	base := time.Now()
	var mu sync.Mutex // guards w
	w := newWindow(0, s)

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	over := make(chan struct{})
	for range parallel {
		wg.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				at := int64(time.Since(base))
				c, err := open(ctx)
				now := int64(time.Since(base))
				if err == nil {
					err = shut(c)
				}
				if err != nil {
					cancel(err)
					return
				}
				mu.Lock()
				w.echoed(at, now)
				mu.Unlock()
			}
		})
	}
	for !w.ended && err == nil {
		timer := time.NewTimer(time.Duration(w.next()) - time.Since(base))
		select {
		case <-ctx.Done():
			err = context.Cause(ctx)
		case <-timer.C:
			mu.Lock()
			err = w.turn(int64(time.Since(base)))
			mu.Unlock()
		}
		timer.Stop()
	}
	close(over)
	wg.Wait()
	// A session may have failed after the end, while the others finished.
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, err
	}
	return w.out, w.out.complete()
}
