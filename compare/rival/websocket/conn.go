package websocket

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"

	"github.com/coder/websocket"

	"strait/compare/game"
	"strait/compare/rival"
	"strait/transport"
)

// Conn is a player's end of a session: a [game.Conn].
type Conn struct {
	ws *websocket.Conn
}

// Dial opens a session with the server at a TCP address. The configuration of TLS
// says whom to trust; it is copied.
func Dial(ctx context.Context, address string, c *tls.Config) (*Conn, error) {
	if c == nil {
		return nil, errors.New("websocket: no TLS configuration; the server is always verified")
	}
	c = c.Clone()
	c.NextProtos = []string{"http/1.1"}
	over := &http.Transport{TLSClientConfig: c}
	ws, _, err := websocket.Dial(ctx, "wss://"+address+path, &websocket.DialOptions{HTTPClient: &http.Client{Transport: over}})
	if err != nil {
		over.CloseIdleConnections()
		return nil, fmt.Errorf("websocket: %w", err)
	}
	return &Conn{ws: ws}, nil
}

// Send implements [game.Conn].
func (c *Conn) Send(ctx context.Context, d transport.Delivery, channel uint8, payload []byte) error {
	if err := rival.Fits(d, payload); err != nil {
		return err
	}
	frame := rival.AppendFrame(make([]byte, 0, rival.HeaderLen+len(payload)), d, channel, payload)
	return c.ws.Write(ctx, websocket.MessageBinary, frame)
}

// Receive implements [game.Conn].
func (c *Conn) Receive(ctx context.Context) (game.Message, error) {
	_, b, err := c.ws.Read(ctx)
	if err != nil {
		return game.Message{}, err
	}
	return rival.ParseFrame(b)
}

// Close implements [game.Conn], without waiting for the server to agree.
func (c *Conn) Close() error {
	_ = c.ws.CloseNow() // the only error is that it was closed before
	return nil
}
