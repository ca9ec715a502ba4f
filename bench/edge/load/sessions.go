//go:build linux

package load

import (
	"context"
	"sync"
	"time"
)

// Sessions opens new sessions, parallel at a time, for as long as s says. Each
// does a full handshake, sends one message of MinSize, gets it back and is reset:
// in TLS 1.3 only an answer proves that the server has finished the handshake,
// too. An echo of what is measured is such a session; its latency is from connect
// to answer.
func Sessions(ctx context.Context, server Server, parallel int, s Stretch) (*Measured, error) {
	d, err := newDialer(server)
	if err != nil {
		return nil, err
	}
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
				c, err := d.dial(ctx, MinSize)
				if err == nil {
					err = c.link.Close()
				}
				if err != nil {
					cancel(err)
					return
				}
				mu.Lock()
				w.echoed(at, int64(time.Since(base)))
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
	return w.out, nil
}
