package transporttest

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"strait/transport"
)

// Memory is a transport whose connections are two pipes in memory. It has no
// handshake of its own. It implements [transport.Listener].
type Memory struct {
	setup     Setup
	datagrams bool
	dialled   chan *memoryConn

	stop      chan struct{} // closed by StopAccepting
	stopOnce  sync.Once
	closeOnce sync.Once
	running   sync.WaitGroup

	mu     sync.Mutex
	closed bool
	conns  map[*memoryConn]struct{}
}

// NewMemory returns a transport that behaves as s says.
func NewMemory(s Setup) *Memory {
	return &Memory{
		setup: s, dialled: make(chan *memoryConn), stop: make(chan struct{}),
		conns: make(map[*memoryConn]struct{}),
	}
}

// NewDatagramMemory is NewMemory with connections that carry datagrams, and that
// pull channel by channel, as a connection with a stream for each does.
func NewDatagramMemory(s Setup) *Memory {
	m := NewMemory(s)
	m.datagrams = true
	return m
}

// Endpoint is m as the suite takes it. Its connections call themselves TCP, or QUIC
// if they carry datagrams.
func (m *Memory) Endpoint() Endpoint {
	return Endpoint{Listener: m, Kind: m.kind(), Dial: m.Dial}
}

func (m *Memory) kind() transport.Kind {
	if m.datagrams {
		return transport.KindQUIC
	}
	return transport.KindTCP
}

// Dial connects; the error matches net.ErrClosed when m does not accept.
func (m *Memory) Dial() (Stream, error) {
	c := newMemoryConn(m)
	select {
	case <-m.stop:
	case m.dialled <- c:
		if m.datagrams {
			return datagramStream{memoryStream{up: c.up, down: c.down}, c.inner}, nil
		}
		return memoryStream{up: c.up, down: c.down}, nil
	}
	return nil, m.over()
}

func (m *Memory) over() error {
	return fmt.Errorf("transporttest: memory no longer accepts: %w", net.ErrClosed)
}

// Serve implements transport.Listener.
func (m *Memory) Serve(accept transport.Accept) error {
	for {
		select {
		case <-m.stop:
			return m.over()
		case c := <-m.dialled:
			m.start(c, accept)
		}
	}
}

func (m *Memory) start(c *memoryConn, accept transport.Accept) {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		c.sever()
		return
	}
	m.conns[c] = struct{}{}
	m.running.Add(1)
	m.mu.Unlock()
	if o := m.setup.Openings; o != nil {
		c.opening = o.Begin(netip.Prefix{}, c.evict)
	}
	go func() {
		defer m.running.Done()
		c.run(accept)
		m.mu.Lock()
		delete(m.conns, c)
		m.mu.Unlock()
	}()
}

// Addr implements transport.Listener.
func (m *Memory) Addr() net.Addr { return memoryAddr{} }

// StopAccepting implements transport.Listener.
func (m *Memory) StopAccepting() { m.stopOnce.Do(func() { close(m.stop) }) }

// Close implements transport.Listener.
func (m *Memory) Close() error {
	m.StopAccepting()
	m.closeOnce.Do(func() {
		m.mu.Lock()
		m.closed = true
		for c := range m.conns {
			c.Close(transport.Because(transport.Draining, "the gateway is going away"))
		}
		m.mu.Unlock()
		late := make(chan struct{})
		timer := time.AfterFunc(m.setup.Linger, func() {
			defer close(late)
			m.mu.Lock()
			defer m.mu.Unlock()
			for c := range m.conns {
				c.sever()
			}
		})
		m.running.Wait()
		if !timer.Stop() {
			<-late
		}
	})
	return nil
}

type memoryAddr struct{}

func (memoryAddr) Network() string { return "memory" }
func (memoryAddr) String() string  { return "memory" }
