package quic

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"

	quicgo "github.com/quic-go/quic-go"

	"strait/quic/session"
	"strait/transport"
)

// Listener serves QUIC on one UDP socket. It implements [transport.Listener].
type Listener struct {
	// static
	config    Config
	door      door
	socket    net.PacketConn
	transport *quicgo.Transport
	inner     *quicgo.EarlyListener
	traces    *traces // nil: none

	counters counters
	refused  transport.Sparing // log lines about clients' certificates

	// set before Serve, then static
	turns transport.Turns // nil: nobody's

	next atomic.Uint32 // session's loop

	stop     chan struct{} // closed by StopAccepting
	stopOnce sync.Once

	closeOnce sync.Once
	visitors  transport.Roster[*visitor]
	served    atomic.Bool   // handOver runs, or must not any more
	handed    chan struct{} // closed when handOver has ended
}

// Listen listens on addr, "host:port", of UDP; an empty host is every address, IPv4 and
// IPv6. With Config.Conn addr is not looked at.
func Listen(ctx context.Context, addr string, c Config) (*Listener, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	socket := c.Conn
	if socket == nil {
		var err error
		if socket, err = new(net.ListenConfig).ListenPacket(ctx, "udp", addr); err != nil {
			return nil, fmt.Errorf("quic: %w", err)
		}
	}
	l := &Listener{
		config: c, socket: socket,
		door: door{max: c.Handshakes, maxPerAddress: c.HandshakesPerAddress, retry: c.Retry, from: make(map[netip.Prefix]int)},
		stop: make(chan struct{}), handed: make(chan struct{}),
	}
	if err := l.listen(); err != nil {
		if c.Conn == nil {
			_ = socket.Close()
		}
		return nil, fmt.Errorf("quic: %w", err)
	}
	return l, nil
}

func (l *Listener) listen() error {
	c := l.config
	reset := quicgo.StatelessResetKey(c.Keys.Derive("quic stateless reset", c.NodeID, l.socket.LocalAddr().String())[0])
	token := quicgo.TokenGeneratorKey(c.Keys.Derive("quic token")[0])
	l.transport = &quicgo.Transport{
		Conn:                l.socket,
		ConnectionIDLength:  connectionIDLen,
		StatelessResetKey:   &reset,
		TokenGeneratorKey:   &token,
		VerifySourceAddress: l.doubt,
		ConnContext:         l.admit,
	}
	q := session.QUICConfig()
	q.HandshakeIdleTimeout = c.HandshakeTimeout
	q.MaxIdleTimeout = c.IdleTimeout
	q.KeepAlivePeriod = c.KeepAlive
	q.InitialStreamReceiveWindow = uint64(c.StreamWindow / 4)
	q.MaxStreamReceiveWindow = uint64(c.StreamWindow)
	q.InitialConnectionReceiveWindow = uint64(c.ConnWindow / 4)
	q.MaxConnectionReceiveWindow = uint64(c.ConnWindow)
	q.MaxIncomingUniStreams = int64(c.MaxStreams)
	q.EnableDatagrams = !c.NoDatagrams
	q.DisablePathMTUDiscovery = c.NoMTUDiscovery
	if c.QLogDir != "" {
		l.traces = &traces{dir: c.QLogDir, every: uint64(c.QLogEvery), log: c.Logger}
		q.Tracer = l.traces.begin
	}
	var err error
	withSwitches(c.NoGSO, func() {
		l.inner, err = l.transport.ListenEarly(serverConfig(c.TLS), q)
	})
	if err != nil {
		return err
	}
	l.setBuffers()
	return nil
}

// connectionIDLen leaves no room for guessing another connection's: with 4 bytes, which
// is quic-go's default, one in 100,000 tries would hit one of 40,000.
const connectionIDLen = 8

// serverConfig returns a copy of base that enforces what WIRE.md section 5 asks for.
func serverConfig(base *tls.Config) *tls.Config {
	t := enforce(base)
	if ask := t.GetConfigForClient; ask != nil {
		t.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			given, err := ask(hello)
			if err != nil || given == nil {
				return nil, err
			}
			return enforce(given), nil
		}
	}
	return t
}

func enforce(base *tls.Config) *tls.Config {
	t := base.Clone()
	t.NextProtos = []string{ALPN}
	t.MinVersion = tls.VersionTLS13
	return t
}

// doubt is quic-go asking whether the sender of a first packet must prove its address.
func (l *Listener) doubt(a net.Addr) bool {
	if !l.door.doubts(transport.Network(session.AddrPort(a).Addr())) {
		return false
	}
	l.counters.retries.Add(1)
	return true
}

// Addr returns the address that is listened on.
func (l *Listener) Addr() net.Addr { return l.socket.LocalAddr() }

// SetTurns makes sessions tell t of the turns in which they deliver.
func (l *Listener) SetTurns(t transport.Turns) { l.turns = t }

// loop is the number of a new session's turns. There are as many as the event loops of
// TCP have, one for each two processors: sessions that share one hand on more at a time.
func (l *Listener) loop() int {
	return int(l.next.Add(1) % uint32(max(1, runtime.GOMAXPROCS(0)/2)))
}

// Serve accepts connections until StopAccepting or Close and hands each to accept once
// its handshake is done. The error matches net.ErrClosed after StopAccepting or Close,
// else it is why the socket is of no use any more.
func (l *Listener) Serve(accept transport.Accept) error {
	failed := make(chan error, 1)
	if l.served.CompareAndSwap(false, true) {
		go func() {
			defer close(l.handed)
			failed <- l.handOver(accept)
		}()
	}
	select {
	case <-l.stop:
	case err := <-failed:
		select {
		case <-l.stop:
		default:
			return fmt.Errorf("quic: accepting on %s: %w", l.Addr(), err)
		}
	}
	return fmt.Errorf("quic: %s no longer accepts: %w", l.Addr(), net.ErrClosed)
}

// handOver gives each connection its goroutine. It goes on after StopAccepting for those
// whose handshake had begun before, and ends with quic-go's listener.
func (l *Listener) handOver(accept transport.Accept) error {
	for {
		conn, err := l.inner.Accept(context.Background())
		if err != nil {
			return err
		}
		v := visitorOf(conn.Context())
		if !l.visitors.Add(v) {
			v.drop(FailedClosed, nil)
			v.abort(conn)
			continue
		}
		go func() {
			defer l.visitors.Remove(v)
			v.run(conn, accept)
		}()
	}
}

// StopAccepting refuses new handshakes; connections stay.
func (l *Listener) StopAccepting() {
	l.stopOnce.Do(func() {
		l.door.close()
		close(l.stop)
	})
}

// Close ends every connection with CLOSE DRAINING, cuts what is left after
// Config.Linger, and returns when all goroutines have ended.
func (l *Listener) Close() error {
	l.StopAccepting()
	l.closeOnce.Do(func() {
		l.visitors.Close(l.config.Linger, (*visitor).drain, (*visitor).cut)
		_ = l.transport.Close()
		if !l.served.CompareAndSwap(false, true) {
			<-l.handed
		}
		if l.config.Conn == nil {
			_ = l.socket.Close()
		}
		l.traces.wait()
	})
	return nil
}
