package tcp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"strait/transport"
)

const (
	minBackoff = 5 * time.Millisecond
	maxBackoff = time.Second
	// logEvery is the least time between two log entries about failing accepts.
	logEvery = 5 * time.Second
)

// Listener serves TLS over TCP on one address. It implements [transport.Listener].
type Listener struct {
	// static
	config Config
	inner  net.Listener
	tls    *tls.Config
	loops  *loops // nil: every connection has a goroutine
	turns  transport.Turns

	counters counters
	refused  transport.Sparing // log lines about clients' certificates

	stop     chan struct{} // closed by StopAccepting
	stopOnce sync.Once

	closeOnce sync.Once
	conns     transport.Roster[*Conn]
}

// Listen listens on addr, "host:port"; an empty host is every address, IPv4 and
// IPv6.
func Listen(ctx context.Context, addr string, c Config) (*Listener, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	// The session's own PINGs find a dead peer sooner than keepalive does, and a
	// multipath socket costs every connection for the few clients that use it.
	lc := net.ListenConfig{KeepAlive: -1}
	lc.SetMultipathTCP(false)
	inner, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("tcp: %w", err)
	}
	return New(inner, c)
}

// New serves what inner accepts, which is closed with the Listener, and on error.
func New(inner net.Listener, c Config) (*Listener, error) {
	if err := c.Validate(); err != nil {
		_ = inner.Close()
		return nil, err
	}
	c = c.withDefaults()
	l := &Listener{
		config: c, inner: inner, tls: serverConfig(c.TLS),
		stop: make(chan struct{}),
	}
	if _, ok := inner.(*net.TCPListener); ok && !c.NoLoop {
		var err error
		if l.loops, err = newLoops(); err != nil && !errors.Is(err, errors.ErrUnsupported) {
			c.Logger.Warn("no event loop, every connection gets a goroutine", "err", err)
		}
	}
	return l, nil
}

// Addr returns the address that is listened on.
func (l *Listener) Addr() net.Addr { return l.inner.Addr() }

// SetTurns makes the event loops tell t of their turns.
func (l *Listener) SetTurns(t transport.Turns) { l.turns = t }

// Serve accepts connections until StopAccepting or Close and hands each to accept
// once its TLS handshake is done. Running out of file descriptors and the like
// makes it wait, not return. The error matches net.ErrClosed after StopAccepting
// or Close, else it is why the socket is of no use any more.
func (l *Listener) Serve(accept transport.Accept) error {
	if l.loops != nil {
		l.loops.start(l.turns)
	}
	backoff := time.Duration(0)
	var logged time.Time
	for {
		raw, err := l.inner.Accept()
		if err == nil {
			backoff = 0
			l.start(raw, accept)
			continue
		}
		select {
		case <-l.stop:
			return fmt.Errorf("tcp: %s no longer accepts: %w", l.Addr(), net.ErrClosed)
		default:
		}
		if !passing(err) {
			return fmt.Errorf("tcp: accepting on %s: %w", l.Addr(), err)
		}
		l.counters.acceptErrors.Add(1)
		backoff = min(max(2*backoff, minBackoff), maxBackoff)
		if now := time.Now(); now.Sub(logged) >= logEvery {
			logged = now
			l.config.Logger.Warn("cannot accept connections, will try again", "addr", l.Addr().String(),
				"err", err, "wait", backoff, "failed", l.counters.acceptErrors.Load())
		}
		again := time.NewTimer(backoff)
		select {
		case <-again.C:
		case <-l.stop:
			again.Stop()
		}
	}
}

// passing reports whether accepting may work again after err. accept(2) hands on
// errors of the connection and of the network beside those of the process, so
// only those that condemn the socket itself end it.
func passing(err error) bool {
	if errors.Is(err, net.ErrClosed) {
		return false
	}
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		var ne net.Error
		return errors.As(err, &ne) && ne.Timeout()
	}
	return errno != syscall.EBADF && errno != syscall.EINVAL && errno != syscall.ENOTSOCK
}

func (l *Listener) start(raw net.Conn, accept transport.Accept) {
	c := newConn(l, raw)
	if !l.conns.Add(c) {
		_ = raw.Close()
		return
	}
	l.counters.accepted.Add(1)
	if o := l.config.Openings; o != nil {
		c.opening = o.Begin(transport.Network(c.remote.Addr()), c.evict)
	}
	go c.run(accept)
}

// StopAccepting closes the listening socket; connections stay.
func (l *Listener) StopAccepting() {
	l.stopOnce.Do(func() {
		close(l.stop)
		_ = l.inner.Close()
	})
}

// Close ends every connection with CLOSE DRAINING, cuts what is left after
// Config.Linger, and returns when all goroutines have ended.
func (l *Listener) Close() error {
	l.StopAccepting()
	l.closeOnce.Do(func() {
		l.conns.Close(l.config.Linger, (*Conn).drain, (*Conn).cut)
		l.loops.close()
	})
	return nil
}
