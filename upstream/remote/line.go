package remote

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// Backoff between attempts to connect: it starts at backoffMin, doubles up to
// backoffMax, and each pause is drawn between half of that and all of it.
const (
	backoffMin = 50 * time.Millisecond
	backoffMax = 2 * time.Second
	// A stream that lived this long was no failed attempt.
	settled = 5 * time.Second
)

// line keeps one stream to a backend up.
type line struct {
	pool    *Pool
	backend *backend
	index   int

	mu      sync.Mutex
	current *stream // nil while connecting
	err     error   // why the last attempt to connect failed; nil once one succeeded
	cause   error   // why the last stream was lost
	lost    uint64
}

// run dials and serves until the pool closes.
func (l *line) run() {
	ctx := l.pool.ctx
	pause := backoffMin
	for {
		st, err := l.dial(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			l.failed(err)
		} else {
			began := time.Now()
			l.keep(ctx, st)
			if time.Since(began) >= settled {
				pause = backoffMin
			}
		}
		if !sleep(ctx, pause/2+rand.N(pause/2)) {
			return
		}
		pause = min(2*pause, backoffMax)
	}
}

// sleep returns false when ctx was done first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// dial opens a stream to one of the backend's addresses, trying each once.
func (l *line) dial(ctx context.Context) (*stream, error) {
	// Lines of one backend that fail together share one answer.
	addresses, err := l.backend.resolve(ctx, &l.pool.cfg, backoffMin/2)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, address := range l.order(addresses) {
		conn, err := l.connect(ctx, address)
		if err == nil {
			return l.pool.begin(l, conn, address)
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// order sorts addresses by where to try first: those that no other line of the
// backend is on, so that its streams spread, beginning with another one for each
// line and each time that the line has lost a stream.
func (l *line) order(addresses []string) []string {
	taken := make(map[string]bool)
	for _, other := range l.backend.lines {
		if other != l {
			taken[other.address()] = true
		}
	}
	l.mu.Lock()
	first := l.index + int(l.lost)
	l.mu.Unlock()
	order := make([]string, 0, len(addresses))
	for _, want := range []bool{false, true} {
		for i := range addresses {
			if a := addresses[(first+i)%len(addresses)]; taken[a] == want {
				order = append(order, a)
			}
		}
	}
	return order
}

// address is the one that the line is connected to; empty while it is not.
func (l *line) address() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.current == nil {
		return ""
	}
	return l.current.address
}

func (l *line) connect(ctx context.Context, address string) (Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, l.pool.cfg.DialTimeout)
	defer cancel()
	return l.backend.carrier.Dial(ctx, l.backend.endpoint, address, l.pool.cfg.TLS)
}

// keep follows a stream until it is lost, and replaces it gently when its address
// is no longer one of the backend's.
func (l *line) keep(ctx context.Context, st *stream) {
	l.set(st)
	tick := time.NewTicker(l.pool.cfg.ResolveEvery)
	defer tick.Stop()
	for {
		select {
		case <-st.vacated:
			l.lose(st.cause)
			return
		case <-tick.C:
			if next := l.replace(ctx, st); next != nil {
				l.set(next)
				st = next
			}
		}
	}
}

// replace opens a stream to another address if st's is no longer resolved to; nil
// when st is to stay.
func (l *line) replace(ctx context.Context, st *stream) *stream {
	addresses, err := l.backend.resolve(ctx, &l.pool.cfg, l.pool.cfg.ResolveEvery/2)
	if err != nil || slices.Contains(addresses, st.address) {
		return nil
	}
	next, err := l.dial(ctx)
	if err != nil {
		l.pool.cfg.Logger.Warn("upstream: a backend's address changed, but the new one does not answer",
			"backend", l.backend.url, "stream", l.index, "old", st.address, "err", err)
		return nil
	}
	l.pool.retire(st)
	return next
}

func (l *line) set(st *stream) {
	l.mu.Lock()
	l.current, l.err = st, nil
	l.mu.Unlock()
}

func (l *line) lose(cause error) {
	l.mu.Lock()
	l.current, l.cause = nil, cause
	l.lost++
	l.mu.Unlock()
}

// trouble is the error that says most about the line now; its mutex is held.
func (l *line) trouble() error {
	if l.err != nil {
		return l.err
	}
	return l.cause
}

// failed notes why connecting failed and logs it where that is news.
func (l *line) failed(err error) {
	l.mu.Lock()
	news := l.err == nil || l.err.Error() != err.Error()
	l.err = err
	l.mu.Unlock()
	if news {
		l.pool.cfg.Logger.Warn("upstream: cannot connect, trying again",
			"backend", l.backend.url, "stream", l.index, "err", err)
	}
}

// why describes what stands in the way of the line; empty when nothing does.
func (l *line) why() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.current != nil:
		return ""
	case l.trouble() != nil:
		return fmt.Sprintf("%s: %v", l.backend.url, l.trouble())
	}
	return l.backend.url + ": connecting"
}
