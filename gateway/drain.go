package gateway

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"

	"strait/proto/straitv1"
	"strait/transport"
)

const (
	// barrierTimeout bounds each wait for game logic during a shutdown.
	barrierTimeout = 5 * time.Second
	// farewellTimeout bounds the flush and close of all connections.
	farewellTimeout = 3 * time.Second
)

// Shutdown ends the gateway in the one written order: not ready, stop accepting,
// CLOSE to those who have no session yet and GOAWAY to the others, at the drain
// deadline stop reading clients, empty the shards, ping game logic and await its
// pongs, flush, CLOSE, wait. Every reliable message that was handed to game logic that
// answers at once has its reply delivered. If ctx ends, what is left is cut short. It
// returns when all goroutines have ended; further calls wait for the first.
func (g *Gateway) Shutdown(ctx context.Context) {
	g.shutdown.Do(func() { g.drain(ctx) })
	<-g.stopped
}

func (g *Gateway) drain(ctx context.Context) {
	g.draining.Store(true)
	g.mu.Lock()
	listeners, started, offerer := g.listeners, g.started, g.offerer
	g.mu.Unlock()
	for _, l := range listeners {
		l.StopAccepting()
	}
	gone, opening := g.conns.close()

	g.log.Info("draining", "sessions", g.table.len(), "timeout", g.cfg.DrainTimeout)
	for _, p := range opening {
		p.refuse(goingAway)
	}
	g.table.each(g.goAway)
	within(ctx, g.cfg.DrainTimeout, gone)

	g.stopReading.Store(true)
	// Who looked before that has pushed when his lock is free.
	g.table.each((*session).awaitDeliver)
	if started {
		g.settle(ctx)
		bctx, cancel := context.WithTimeout(ctx, barrierTimeout)
		if err := g.driver.Barrier(bctx); err != nil {
			g.log.Warn("game logic did not confirm the last messages", "error", err)
		}
		cancel()
		g.spreadAll(ctx)
	}
	g.table.each(func(s *session) { s.Close(goingAway) })
	within(ctx, farewellTimeout, gone)
	for _, l := range listeners {
		l.Close()
	}
	g.serving.Wait()
	<-gone
	if offerer != nil {
		if err := offerer.Close(); err != nil { // with it end turns on the rings
			g.log.Warn("closing the unreliable lanes", "error", err)
		}
	}

	if started {
		g.settle(ctx)
		bctx, cancel := context.WithTimeout(ctx, time.Second)
		_ = g.driver.Barrier(bctx) // the last Closed events; nobody waits for answers to them
		cancel()
	}
	if err := g.driver.Close(); err != nil {
		g.log.Warn("closing the upstream", "error", err)
	}
	for _, sh := range g.shards {
		sh.fanout.wait()
		sh.ring.Close()
	}
	g.run.Wait()
	close(g.stopped)
	g.work.Wait()
	g.log.Info("stopped")
}

// goAway tells a client to be elsewhere by the deadline.
func (g *Gateway) goAway(s *session) {
	b, err := proto.Marshal(&straitv1.GoAway{
		Code: uint32(transport.Draining), DeadlineMs: uint32(g.cfg.DrainTimeout.Milliseconds()),
	})
	if err != nil {
		g.log.Error("GOAWAY", "error", err)
		return
	}
	s.conn.Control(transport.ControlGoAway, b)
	s.conn.Wake()
}

// settle returns when everything that was taken from clients is with the driver.
func (g *Gateway) settle(ctx context.Context) {
	for _, sh := range g.shards {
		within(ctx, barrierTimeout, sh.barrier())
	}
}

// spreadAll waits for the fan-outs under way, unless game logic goes on publishing.
func (g *Gateway) spreadAll(ctx context.Context) {
	done := make(chan struct{})
	g.work.Add(1)
	go func() {
		defer g.work.Done()
		defer close(done)
		for _, sh := range g.shards {
			sh.fanout.wait()
		}
	}()
	within(ctx, barrierTimeout, done)
}

// within waits for ch, for at most d, and not beyond ctx.
func within(ctx context.Context, d time.Duration, ch <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ch:
	case <-t.C:
	case <-ctx.Done():
	}
}
