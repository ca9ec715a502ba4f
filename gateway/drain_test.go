package gateway_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"strait/gateway"
	"strait/proto/straitv1"
	"strait/transport"
	"strait/upstream"
)

// journal records in which order a shutdown happened.
type journal struct {
	mu   sync.Mutex
	what []string
}

func (j *journal) add(s string) {
	j.mu.Lock()
	j.what = append(j.what, s)
	j.mu.Unlock()
}

type journalListener struct {
	j    *journal
	stop chan struct{}
	once sync.Once
}

func (l *journalListener) Serve(transport.Accept) error { <-l.stop; return net.ErrClosed }
func (l *journalListener) Addr() net.Addr               { return &net.TCPAddr{} }
func (l *journalListener) StopAccepting()               { l.j.add("stop accepting") }
func (l *journalListener) Close() error {
	l.once.Do(func() { l.j.add("close listener"); close(l.stop) })
	return nil
}

// journalLogic answers each message when it is asked for a barrier, as late as
// the contract allows.
type journalLogic struct {
	*logic
	j *journal
}

func (l *journalLogic) Barrier(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.j.add("barrier")
	for _, e := range l.kept {
		if e.Kind != upstream.Message {
			continue
		}
		e.Message.Buf.Retain()
		_ = e.Session.Send(e.Message)
		e.Session.Flush()
		e.Release()
	}
	l.kept = nil
	return nil
}

func (l *journalLogic) Close() error { l.j.add("close driver"); return l.logic.Close() }

func TestShutdownOrder(t *testing.T) {
	j := &journal{}
	l := &journalLogic{logic: newLogic(), j: j}
	l.hold = true
	g := start(t, gateway.Config{Shards: 2, DrainTimeout: 50 * time.Millisecond}, l)
	g.Listen(&journalListener{j: j, stop: make(chan struct{})}, nil)
	c := player(t, g)
	s := l.await(t, count(1))[0].session
	l.letGo()
	l.mu.Lock()
	l.hold = true
	l.mu.Unlock()
	for i := range 30 {
		require.Equal(t, 1, c.say(fmt.Sprint(i)))
	}
	l.await(t, count(31))
	g.Shutdown(context.Background())
	g.Shutdown(context.Background()) // idempotent

	require.Equal(t, []string{"stop accepting", "barrier", "close listener", "barrier", "close driver"}, j.what)
	var want []string
	for i := range 30 {
		want = append(want, fmt.Sprint(i))
	}
	require.Equal(t, want, c.received(), "every reliable message has its reply")
	require.Equal(t, transport.Draining, c.reason().Code)
	require.Equal(t, []transport.Control{transport.ControlServerHello, transport.ControlGoAway}, c.controls)
	var goAway straitv1.GoAway
	require.NoError(t, proto.Unmarshal(c.payloads[1], &goAway))
	require.EqualValues(t, 50, goAway.DeadlineMs)
	require.EqualValues(t, transport.Draining, goAway.Code)
	last := l.events[len(l.events)-1]
	require.Equal(t, upstream.Closed, last.kind)
	require.Equal(t, s, last.session)
}

func TestShutdownEndsAsSoonAsEverybodyLeft(t *testing.T) {
	l := newLogic()
	g := start(t, gateway.Config{DrainTimeout: time.Hour}, l)
	c := player(t, g)
	go func() {
		for {
			c.mu.Lock()
			n := len(c.controls)
			c.mu.Unlock()
			if n == 2 {
				c.lose() // it obeys GOAWAY
				return
			}
			<-c.changed
		}
	}()
	g.Shutdown(context.Background())
}

// A connection that has not opened a session is not waited for.
func TestShutdownEndsConnectionsWithoutASession(t *testing.T) {
	g := start(t, gateway.Config{DrainTimeout: time.Hour}, newLogic())
	c := newConn(t, g)
	var err error
	c.peer, err = g.Accept(c)
	require.NoError(t, err)
	g.Shutdown(context.Background())
	require.Equal(t, transport.Draining, c.reason().Code)
}

func TestShutdownIsCutShortByItsContext(t *testing.T) {
	g := start(t, gateway.Config{DrainTimeout: time.Hour}, newLogic())
	player(t, g)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	g.Shutdown(ctx)
}

func TestConfigValidation(t *testing.T) {
	for name, c := range map[string]gateway.Config{
		"QueueSize":       {QueueSize: 3},
		"Shards":          {Shards: -1},
		"MaxMessageBytes": {MaxMessageBytes: 100},
		"IdleTimeout":     {IdleTimeout: time.Nanosecond},
	} {
		_, err := gateway.New(c, newLogic())
		require.ErrorContains(t, err, name)
	}
}
