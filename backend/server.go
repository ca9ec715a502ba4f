package backend

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"
)

// Config describes a backend. Zero values are the documented defaults.
type Config struct {
	// Name is for the gateway's logs and status; it need not be unique.
	Name string
	// Routes are those that this backend serves; empty is any.
	Routes []string
	// Acknowledge makes the gateway deliver reliable messages again that a stream
	// was lost with before their callbacks returned: at least once, instead of at
	// most once.
	Acknowledge bool
	// TLS is for link+tls in Serve; it needs a certificate.
	TLS *tls.Config
	// BufferBytes is how much may be queued for one stream of a gateway; 0 is 8 MiB.
	BufferBytes int
	// Grace is how long a session whose stream was lost waits to be announced again
	// before it is Closed; 0 is 15 s, longer than the gateway's own default.
	Grace time.Duration
	// Logger is told when gateways come and go; nil is slog.Default.
	Logger *slog.Logger
}

const (
	defaultBuffer = 8 << 20
	defaultGrace  = 15 * time.Second
)

// Validate reports what is wrong with c.
func (c *Config) Validate() error {
	var errs []error
	if c.BufferBytes < 0 || c.BufferBytes > 0 && c.BufferBytes < batchFill {
		errs = append(errs, &ArgumentError{Want: "BufferBytes must be at least 256 KiB, or 0 for 8 MiB"})
	}
	if c.Grace < 0 {
		errs = append(errs, &ArgumentError{Want: "Grace must not be negative; 0 is 15 s"})
	}
	errs = append(errs, checkText("the name", c.Name))
	for _, r := range c.Routes {
		errs = append(errs, checkText("a route", r))
	}
	return errors.Join(errs...)
}

// Server is a backend that gateways attach to.
type Server struct {
	config  Config
	handler Handler
	ctx     context.Context // done when Close begins
	cancel  context.CancelFunc
	running sync.WaitGroup // connections

	mu        sync.Mutex
	closed    bool
	draining  bool
	listeners map[net.Listener]struct{}
	conns     map[net.Conn]struct{}
	streams   map[*stream]struct{} // attached
	sessions  map[key]*Session     // all that are not closed
	done      chan struct{}        // Close has finished
}

// key names a session over all gateways.
type key struct {
	gateway string
	handle  uint64
}

// New returns a server that serves nothing yet.
func New(h Handler, c Config) (*Server, error) {
	if h == nil {
		return nil, &ArgumentError{Want: "a handler is needed"}
	}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.BufferBytes == 0 {
		c.BufferBytes = defaultBuffer
	}
	if c.Grace == 0 {
		c.Grace = defaultGrace
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	srv := &Server{
		config: c, handler: h,
		listeners: make(map[net.Listener]struct{}),
		conns:     make(map[net.Conn]struct{}),
		streams:   make(map[*stream]struct{}),
		sessions:  make(map[key]*Session),
		done:      make(chan struct{}),
	}
	srv.ctx, srv.cancel = context.WithCancel(context.Background())
	return srv, nil
}

// Serve accepts gateways on l until Close, then returns ErrServerClosed. It closes
// l. It may be called for several listeners.
func (srv *Server) Serve(l net.Listener) error {
	defer l.Close()
	srv.mu.Lock()
	if srv.closed {
		srv.mu.Unlock()
		return ErrServerClosed
	}
	srv.listeners[l] = struct{}{}
	srv.mu.Unlock()
	defer func() {
		srv.mu.Lock()
		delete(srv.listeners, l)
		srv.mu.Unlock()
	}()
	for {
		conn, err := l.Accept()
		if err != nil {
			if srv.ctx.Err() != nil {
				return ErrServerClosed
			}
			var temporary interface{ Temporary() bool }
			if errors.As(err, &temporary) && temporary.Temporary() {
				srv.config.Logger.Warn("backend: cannot accept, trying again", "err", err)
				if !srv.pause(acceptPause) {
					return ErrServerClosed
				}
				continue
			}
			return err
		}
		if !srv.track(conn) {
			_ = conn.Close()
			return ErrServerClosed
		}
		go srv.serve(conn)
	}
}

// acceptPause is how long to wait when there are no descriptors left.
const acceptPause = 50 * time.Millisecond

// pause returns false when the server is closed meanwhile.
func (srv *Server) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-srv.ctx.Done():
		return false
	}
}

func (srv *Server) track(conn net.Conn) bool {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if srv.closed {
		return false
	}
	srv.conns[conn] = struct{}{}
	srv.running.Add(1)
	return true
}

// serve runs one connection, and waits with its sessions for another one.
func (srv *Server) serve(conn net.Conn) {
	defer srv.running.Done()
	st := newStream(srv, conn)
	err := st.serve()
	srv.mu.Lock()
	delete(srv.conns, conn)
	srv.mu.Unlock()
	log := srv.config.Logger.With("gateway", st.gateway, "stream", st.index, "remote", conn.RemoteAddr().String())
	if err == nil {
		log.Info("backend: stream ended", "sessions", len(st.sessions))
	} else {
		log.Warn("backend: stream lost", "err", err, "sessions", len(st.sessions))
	}
	if len(st.sessions) == 0 {
		return
	}
	srv.pause(srv.config.Grace)
	for _, s := range st.sessions {
		srv.abandon(s, st)
	}
}

// Close stops accepting, sends what is queued, ends all streams, calls Closed for
// every session, and returns when all callbacks have. Idempotent.
func (srv *Server) Close() error {
	srv.mu.Lock()
	if srv.closed {
		srv.mu.Unlock()
		<-srv.done
		return nil
	}
	srv.closed = true
	srv.cancel()
	for l := range srv.listeners {
		_ = l.Close()
	}
	for c := range srv.conns {
		_ = c.SetReadDeadline(time.Unix(1, 0)) // its reader sees that the server is closed
	}
	srv.mu.Unlock()
	srv.running.Wait()
	close(srv.done)
	return nil
}

// Drain asks the gateways for no new sessions, or for new ones again. Those that
// are there stay.
func (srv *Server) Drain(draining bool) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	srv.draining = draining
	for st := range srv.streams {
		if err := st.hello(draining); err != nil {
			srv.config.Logger.Warn("backend: a gateway was not told to drain", "gateway", st.gateway, "stream", st.index, "err", err)
		}
	}
}
