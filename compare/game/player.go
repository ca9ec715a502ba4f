package game

import (
	"context"
	"fmt"
	"sync"
	"time"

	"strait/compare/measure"
)

// Player is one player's end of the game.
type Player struct {
	// Number tells players of a run apart.
	Number   uint32
	Workload Workload
	Clock    Clock
	Dial     Dial
	// OpenTimeout bounds one attempt to connect; 0 is 10 s.
	OpenTimeout time.Duration
	// Silence is for how long nothing may arrive before the player gives a connection
	// up and dials again, as games do; 0 is 3 s, negative never.
	Silence time.Duration
	// Drain is for how long he goes on receiving when he has stopped sending;
	// 0 is 2 s.
	Drain time.Duration
}

const (
	defaultOpenTimeout = 10 * time.Second
	defaultSilence     = 3 * time.Second
	defaultDrain       = 2 * time.Second

	retryAfter = 250 * time.Millisecond
)

// play is one Play.
type play struct {
	Player
	flows []measure.Flow
	begun int64 // when the first message is due
	over  int64 // when no further one is

	mu   sync.Mutex
	log  measure.PlayerLog
	conn Conn          // nil between two
	next chan struct{} // closed when conn changes
	last int64         // arrival

	closing sync.WaitGroup // connections that are over
}

// Play connects and plays until the clock shows until, then drains. Play does not
// fail: what went wrong is in the log. Cancelling ctx ends it at once, as a failure.
func (p Player) Play(ctx context.Context, until int64) measure.PlayerLog {
	if p.OpenTimeout == 0 {
		p.OpenTimeout = defaultOpenTimeout
	}
	if p.Silence == 0 {
		p.Silence = defaultSilence
	}
	if p.Drain == 0 {
		p.Drain = defaultDrain
	}
	g := &play{Player: p, flows: p.Workload.Flows(), over: until, next: make(chan struct{})}
	g.log = measure.PlayerLog{Player: p.Number, Logs: make([]measure.Log, len(g.flows)), Late: new(measure.Histogram)}
	end := time.Duration(until-p.Clock.Now()) + p.Drain
	if end <= 0 {
		g.log.Failure = "the run was over before the player began"
		return g.log
	}
	ctx, cancel := context.WithTimeout(ctx, end)
	defer cancel()

	g.log.Dialled = p.Clock.Now()
	first := g.dial(ctx)
	if first == nil {
		return g.log
	}
	g.log.Opened = p.Clock.Now()
	g.begun = g.log.Opened
	g.take(first) // before the first message is due
	var senders sync.WaitGroup
	for i, f := range g.flows {
		if f.Up {
			senders.Go(func() { g.send(ctx, i) })
		}
	}
	g.session(ctx, first)
	for ctx.Err() == nil && p.Clock.Now() < until {
		c := g.dial(ctx)
		if c == nil {
			break
		}
		g.mu.Lock()
		g.log.Reconnects++
		g.mu.Unlock()
		g.take(c)
		g.session(ctx, c)
	}
	cancel()
	senders.Wait()
	g.closing.Wait()
	return g.log
}

// dial tries until it has a connection or the run is over; then it is nil, and the
// failure noted.
func (g *play) dial(ctx context.Context) Conn {
	for {
		attempt, cancel := context.WithTimeout(ctx, g.OpenTimeout)
		c, err := g.Dial(attempt)
		cancel()
		if err == nil {
			return c
		}
		pause := time.NewTimer(retryAfter)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
		}
		if ctx.Err() != nil {
			g.mu.Lock()
			if g.log.Opened == 0 {
				g.log.Failure = fmt.Sprintf("could not connect: %v", err)
			} else {
				g.log.Failure = fmt.Sprintf("lost the connection and could not come back: %v", err)
			}
			g.mu.Unlock()
			return nil
		}
	}
}

// take makes c the connection that messages are sent on.
func (g *play) take(c Conn) {
	g.mu.Lock()
	g.last = g.Clock.Now()
	g.conn = c
	close(g.next)
	g.next = make(chan struct{})
	g.mu.Unlock()
}

// session plays on one connection, which was taken, until it or the run ends, then
// begins to close it.
func (g *play) session(ctx context.Context, c Conn) {
	ctx, cancel := context.WithCancel(ctx)
	var watch sync.WaitGroup
	if g.Silence > 0 {
		watch.Go(func() { g.watch(ctx, cancel) })
	}
	for {
		m, err := c.Receive(ctx)
		if err != nil {
			break
		}
		g.arrived(m)
	}
	cancel()
	watch.Wait()

	g.mu.Lock()
	g.conn = nil
	g.mu.Unlock()
	// A close may wait for a peer that is gone; the player dials meanwhile. Why it ends
	// no better changes nothing for him.
	g.closing.Go(func() { _ = c.Close() })
}

// watch gives up a connection from which nothing came for Silence.
func (g *play) watch(ctx context.Context, giveUp context.CancelFunc) {
	t := time.NewTimer(g.Silence)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		g.mu.Lock()
		last := g.last
		g.mu.Unlock()
		if g.Clock.Now() > g.over {
			return // game logic is silent by now, too
		}
		left := g.Clock.until(last + int64(g.Silence))
		if left <= 0 {
			giveUp()
			return
		}
		t.Reset(left)
	}
}

func (g *play) arrived(m Message) {
	now := g.Clock.Now()
	h, err := parse(m.Payload)
	if err != nil || h.player != g.Number || g.flows[h.flow].Up {
		return
	}
	g.mu.Lock()
	g.last = now
	l := &g.log.Logs[h.flow]
	l.Arrivals = append(l.Arrivals, measure.Arrival{Seq: h.seq, Due: h.due, At: now})
	g.mu.Unlock()
}

// send keeps the schedule of one flow. Unreliable messages without a connection are
// lost; reliable ones wait for the next connection.
func (g *play) send(ctx context.Context, flow int) {
	f := g.flows[flow]
	payload := filler(f.Bytes)
	t := time.NewTimer(0)
	defer t.Stop()
	for seq := uint32(0); ; seq++ {
		due := g.begun + int64(seq)*int64(period(f))
		if due >= g.over {
			return
		}
		slept := false
		if d := g.Clock.until(due); d > 0 {
			slept = true
			t.Reset(d)
			select {
			case <-t.C:
			case <-ctx.Done():
				return
			}
		}
		g.mu.Lock()
		if slept {
			g.log.Late.Add(g.Clock.Now() - due)
		}
		g.log.Logs[flow].Due = append(g.log.Logs[flow].Due, due)
		g.mu.Unlock()
		header{flow: uint8(flow), player: g.Number, seq: seq, due: due}.put(payload)
		if !g.sendOne(ctx, f, payload) {
			g.mu.Lock()
			g.log.Logs[flow].Refused = append(g.log.Logs[flow].Refused, seq)
			g.mu.Unlock()
		}
	}
}

func (g *play) sendOne(ctx context.Context, f measure.Flow, payload []byte) bool {
	for {
		g.mu.Lock()
		c, next := g.conn, g.next
		g.mu.Unlock()
		if c != nil {
			if c.Send(ctx, delivery(f), f.Channel, payload) == nil {
				return true
			}
		}
		if !f.Reliable {
			return false
		}
		select {
		case <-next:
		case <-ctx.Done():
			return false
		}
	}
}
