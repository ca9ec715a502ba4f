package kcp

import (
	"bufio"
	"fmt"
	"net"
	"sync"
	"time"

	kcpgo "github.com/xtaci/kcp-go/v5"

	"strait/compare/rival"
)

// Server serves the game over KCP.
type Server struct {
	cfg      Config
	handler  rival.Handler
	listener *kcpgo.Listener
	sessions rival.Sessions
	accept   sync.WaitGroup
	once     sync.Once
	err      error
}

// Listen serves on a UDP address.
func Listen(address string, c Config, h rival.Handler) (*Server, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	block, err := kcpgo.NewAESBlockCrypt(c.Key)
	if err != nil {
		return nil, fmt.Errorf("kcp: %w", err)
	}
	l, err := kcpgo.ListenWithOptions(address, block, 0, 0)
	if err != nil {
		return nil, fmt.Errorf("kcp: %w", err)
	}
	// Less than this loses packets of other players in a burst; the kernel may grant
	// less, as it does to users.
	_ = l.SetReadBuffer(socketBuffer)
	_ = l.SetWriteBuffer(socketBuffer)
	s := &Server{cfg: c.withDefaults(), handler: h, listener: l}
	s.accept.Go(s.serve)
	return s, nil
}

// Addr is the address that Listen got.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Sessions is how many are open.
func (s *Server) Sessions() int { return s.sessions.Len() }

// Close ends all sessions and returns when all goroutines of the server have ended.
// Idempotent.
func (s *Server) Close() error {
	s.once.Do(func() {
		s.sessions.Close()
		s.err = s.listener.Close()
		s.accept.Wait()
		s.refuse()
	})
	return s.err
}

// refuse closes the sessions that kcp-go has begun and nobody accepts any more, as for
// the last packets of one that has ended: they would never end. A listener that is
// closed still gives them out, but not at each call.
func (s *Server) refuse() {
	for failed := 0; failed < 64; failed++ {
		if c, err := s.listener.AcceptKCP(); err == nil {
			_ = c.Close()
			failed = 0
		}
	}
}

func (s *Server) serve() {
	for {
		c, err := s.listener.AcceptKCP()
		if err != nil {
			return
		}
		s.cfg.tune(c)
		s.accept.Go(func() { s.one(c) })
	}
}

func (s *Server) one(c *kcpgo.UDPSession) {
	session := rival.NewSession(func() { _ = c.Close() })
	var out [][]byte
	write := func(frames [][]byte) error {
		out = out[:0]
		for _, f := range frames {
			out = append(out, appendFramed(make([]byte, 0, lengthLen+len(f)), f))
		}
		_, err := c.WriteBuffers(out)
		return err
	}
	// Refused only by a server that is closing: the session is closed then.
	_ = s.sessions.Serve(session, s.handler, write, func() { s.read(c, session) })
}

func (s *Server) read(c *kcpgo.UDPSession, session *rival.Session) {
	r := bufio.NewReaderSize(c, 4096)
	for {
		if c.SetReadDeadline(time.Now().Add(s.cfg.Idle)) != nil {
			return
		}
		b, err := readFrame(r)
		if err != nil {
			return
		}
		if len(b) == 0 {
			if _, err := c.Write(appendFramed(nil, nil)); err != nil {
				return
			}
			continue
		}
		m, err := rival.ParseFrame(b)
		if err != nil {
			return
		}
		s.handler.Message(session, m.Payload)
	}
}
