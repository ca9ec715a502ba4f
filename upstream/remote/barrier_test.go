package remote_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"strait/transport"
	"strait/upstream"
	"strait/upstream/remote"
	"strait/upstream/upstreamtest"
)

func TestBarrierOutlivesALostStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, g := newNetwork(), upstreamtest.NewGateway(t, 0)
		b := n.up("10.0.0.1:1", newLogic())
		p := start(t, g, n, remote.Config{}, "10.0.0.1:1")
		s := g.Open(upstream.Announcement{})
		b.await(t, s.Handle(), 1)
		b.hang(true)
		s.SayReliable("x")
		g.Settle()
		done := make(chan error, 1)
		go func() { done <- p.Barrier(t.Context()) }()
		synctest.Wait()
		n.down("10.0.0.1:1")
		time.Sleep(time.Second)
		require.Empty(t, done, "the barrier opened in front of a message that waits")
		n.up("10.0.0.1:1", newLogic())
		require.NoError(t, <-done)
		require.Equal(t, 1, s.Unread())
	})
}

func TestBarrierEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, g := newNetwork(), upstreamtest.NewGateway(t, 1)
		p := start(t, g, n, remote.Config{}, "10.0.0.1:1")
		require.NoError(t, p.Barrier(t.Context()), "nothing was delivered")
		s := g.Open(upstream.Announcement{})
		g.Settle()
		p.Deliver(0, []upstream.Event{s.Event(transport.Reliable, 0, "x")})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, p.Barrier(ctx), context.DeadlineExceeded)

		// Once nobody waits any more there is nothing to wait for.
		require.Equal(t, transport.UpstreamLost, s.Ended().Code)
		require.NoError(t, p.Barrier(t.Context()))

		b := n.up("10.0.0.1:1", newLogic())
		b.connected(t, 2)
		synctest.Wait()
		b.hang(true)
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, p.Barrier(ctx), context.DeadlineExceeded)
	})
}

func TestBarrierEndsWithThePool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, g := newNetwork(), upstreamtest.NewGateway(t, 1)
		b := n.up("10.0.0.1:1", newLogic())
		p := start(t, g, n, remote.Config{}, "10.0.0.1:1")
		b.connected(t, 2)
		synctest.Wait()
		b.hang(true)
		done := make(chan error, 1)
		go func() { done <- p.Barrier(context.Background()) }()
		synctest.Wait()
		require.NoError(t, p.Close())
		require.Error(t, <-done)
	})
}
