package websocket

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"

	"strait/compare/rival"
)

// path is where the server upgrades.
const path = "/game"

// Server serves the game over WebSocket.
type Server struct {
	handler  rival.Handler
	listener net.Listener
	http     http.Server
	sessions rival.Sessions
	serving  sync.WaitGroup
	once     sync.Once
	err      error
}

// Listen serves on a TCP address. The configuration of TLS has a certificate; it is
// copied.
func Listen(address string, c *tls.Config, h rival.Handler) (*Server, error) {
	if c == nil {
		return nil, errors.New("websocket: no TLS configuration; players are served over TLS only")
	}
	c = c.Clone()
	c.NextProtos = []string{"http/1.1"}
	l, err := tls.Listen("tcp", address, c)
	if err != nil {
		return nil, fmt.Errorf("websocket: %w", err)
	}
	s := &Server{handler: h, listener: l}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+path, s.upgrade)
	s.http = http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	// It returns http.ErrServerClosed, always: Close is the only end.
	s.serving.Go(func() { _ = s.http.Serve(l) })
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
		s.err = s.http.Close()
		s.serving.Wait()
	})
	return s.err
}

func (s *Server) upgrade(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // it has answered
	}
	session := rival.NewSession(func() { _ = c.CloseNow() })
	write := func(frames [][]byte) error {
		for _, f := range frames {
			if err := c.Write(context.Background(), websocket.MessageBinary, f); err != nil {
				return err
			}
		}
		return nil
	}
	// Refused only by a server that is closing: the session is closed then.
	_ = s.sessions.Serve(session, s.handler, write, func() { s.read(c, session) })
}

func (s *Server) read(c *websocket.Conn, session *rival.Session) {
	for {
		kind, b, err := c.Read(context.Background())
		if err != nil || kind != websocket.MessageBinary {
			return
		}
		m, err := rival.ParseFrame(b)
		if err != nil {
			return
		}
		s.handler.Message(session, m.Payload)
	}
}
