package kcp

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"sync"

	kcpgo "github.com/xtaci/kcp-go/v5"

	"strait/compare/game"
	"strait/compare/rival"
	"strait/transport"
)

// Conn is a player's end of a session: a [game.Conn].
type Conn struct {
	session *kcpgo.UDPSession
	reader  *bufio.Reader
	sending sync.Mutex
	frame   []byte // guarded by sending
}

// Dial opens a session with the server at a UDP address and returns when that has
// answered, or ctx has ended.
func Dial(ctx context.Context, address string, c Config) (*Conn, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	block, err := kcpgo.NewAESBlockCrypt(c.Key)
	if err != nil {
		return nil, fmt.Errorf("kcp: %w", err)
	}
	s, err := kcpgo.DialWithOptions(address, block, 0, 0)
	if err != nil {
		return nil, fmt.Errorf("kcp: %w", err)
	}
	c = c.withDefaults()
	c.tune(s)
	conn := &Conn{session: s, reader: bufio.NewReaderSize(s, 4096)}
	if err := conn.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("kcp: no answer from %s: %w", address, err), conn.Close())
	}
	return conn, nil
}

func (c *Conn) open(ctx context.Context) error {
	defer c.endWith(ctx)()
	_, err := c.session.Write(appendFramed(nil, nil))
	if err == nil {
		_, err = readFrame(c.reader)
	}
	return because(ctx, err)
}

// endWith closes the session if ctx ends before the result is called: KCP's own
// deadlines are not safe to set while a call waits.
func (c *Conn) endWith(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() { _ = c.session.Close() })
}

// because prefers the reason for which ctx ended.
func because(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// Send implements [game.Conn].
func (c *Conn) Send(ctx context.Context, d transport.Delivery, channel uint8, payload []byte) error {
	if err := rival.Fits(d, payload); err != nil {
		return err
	}
	defer c.endWith(ctx)()
	c.sending.Lock()
	defer c.sending.Unlock()
	n := rival.HeaderLen + len(payload)
	c.frame = append(c.frame[:0], byte(n), byte(n>>8))
	c.frame = rival.AppendFrame(c.frame, d, channel, payload)
	_, err := c.session.Write(c.frame)
	return because(ctx, err)
}

// Receive implements [game.Conn].
func (c *Conn) Receive(ctx context.Context) (game.Message, error) {
	defer c.endWith(ctx)()
	b, err := readFrame(c.reader)
	if err != nil {
		return game.Message{}, because(ctx, err)
	}
	return rival.ParseFrame(b)
}

// Close implements [game.Conn]. KCP does not tell the server.
func (c *Conn) Close() error {
	_ = c.session.Close() // the only error is that it was closed before
	return nil
}
