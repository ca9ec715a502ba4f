package remote

import (
	"errors"
	"fmt"
	"time"
)

// SilentError says that a backend did not answer a ping in time.
type SilentError struct{ For time.Duration }

func (e *SilentError) Error() string {
	return fmt.Sprintf("no answer to a ping for %v: the backend hangs, or does not answer GatewayBatch.ping", e.For.Round(time.Millisecond))
}

// FullError says that a backend did not read for too long.
type FullError struct {
	Bytes int // queued for it
	For   time.Duration
}

func (e *FullError) Error() string {
	return fmt.Sprintf("the backend reads too slowly: %d bytes queued, full for %v", e.Bytes, e.For.Round(time.Millisecond))
}

// hung reports whether a stream was lost to a backend that still takes connections
// but does not work, so that a connection to it proves nothing.
func hung(cause error) bool {
	var silent *SilentError
	var full *FullError
	return errors.As(cause, &silent) || errors.As(cause, &full)
}

// lingering is how long a backend may take, once the pool is closed, to read what
// was written and end its side.
const lingering = time.Second

// check says whether the stream is lost now, and asks for a ping when it is due.
func (st *stream) check(now int64) error {
	cfg := &st.pool.cfg
	st.mu.Lock()
	defer st.unlock()
	if st.full && now-st.fullSince >= int64(cfg.FullTimeout) {
		return &FullError{Bytes: st.bytes, For: time.Duration(now - st.fullSince)}
	}
	if st.ping.outstanding() {
		if now-st.ping.since >= int64(cfg.PingTimeout) {
			return &SilentError{For: time.Duration(now - st.ping.since)}
		}
		return nil
	}
	silent := now-st.heard.Load() >= int64(cfg.PingEvery)
	// Also one that talks has to show now and then that it still reads.
	unproven := st.sent > st.ping.covered && now-st.ping.quiet >= int64(cfg.PingEvery)
	if silent || unproven {
		st.ping.request(now)
	}
	return nil
}

// serve runs the stream until it is lost and empties it.
func (st *stream) serve() {
	ended := make(chan struct{}, 2)
	go func() {
		if err := st.write(); err != nil {
			st.fail(err)
		}
		ended <- struct{}{}
	}()
	go func() {
		st.fail(st.read())
		ended <- struct{}{}
	}()
	st.supervise()
	_ = st.conn.Close() // unblocks both; what it could say is in st.cause
	<-ended
	<-ended
	st.pool.gone(st)
}

func (st *stream) supervise() {
	cfg := &st.pool.cfg
	every := max(min(cfg.PingEvery, cfg.PingTimeout, cfg.FullTimeout)/4, time.Millisecond)
	tick := time.NewTicker(every)
	defer tick.Stop()
	closing := st.pool.ctx.Done()
	var deadline <-chan time.Time
	for {
		select {
		case <-st.lost:
			return
		case <-deadline:
			st.fail(errClosed)
			return
		case <-closing:
			closing = nil
			st.finish()
			timer := time.NewTimer(lingering)
			defer timer.Stop()
			deadline = timer.C
		case <-tick.C:
			if err := st.check(st.pool.now()); err != nil {
				st.fail(err)
				return
			}
		}
	}
}
