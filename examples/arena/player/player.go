package main

import (
	"context"
	"sync"
	"time"
	"unicode/utf8"

	"strait/client"
	"strait/examples/arena/game"
)

const (
	// inputEvery is how often the input is repeated: a lost one is made good for.
	inputEvery = 50 * time.Millisecond
	// pingEvery is how often the round trip is measured.
	pingEvery = time.Second
	// chatLines is how many are kept.
	chatLines = 12
)

// player is the connection to the arena and what is known from it.
type player struct {
	conn *client.Client
	name string

	changed chan struct{} // holds a token when the view has changed
	steered chan struct{} // holds a token when the input has changed

	mu    sync.Mutex
	view  view
	input game.Input
	sent  [256]sentInput // by number modulo its length
}

type sentInput struct {
	number uint16
	at     time.Time
}

// view is what is known of the world. Copies share what is never changed: the
// snapshot, and the grid's cells.
type view struct {
	grid     game.Grid
	me       game.ID
	in       bool // me is known
	names    map[game.ID]string
	snapshot *game.Snapshot // nil before the first
	chat     []string       // the newest last
	counts   counts
}

// counts are totals.
type counts struct {
	snapshots  int
	othersChat int
	gap        time.Duration // the longest between two snapshots since it was set to 0
	last       time.Time     // of the last snapshot
	age        time.Duration // from sending the input that is seen newly to seeing it; 0 before
	seen       uint16        // the number of that input
	rtt        time.Duration // to the gateway, the last one measured; 0 before
}

func newPlayer(c *client.Client, name string) *player {
	return &player{
		conn: c, name: name,
		changed: make(chan struct{}, 1), steered: make(chan struct{}, 1),
		view: view{names: make(map[game.ID]string)},
	}
}

// run plays until ctx is done, which is no error, or the connection has ended, which
// is one and calls ended first.
func (p *player) run(ctx context.Context, ended func()) error {
	var work sync.WaitGroup
	work.Go(func() { p.sendInputs(ctx) })
	work.Go(func() { p.ping(ctx) })
	var err error
	for err == nil {
		var m client.Message
		if m, err = p.conn.Receive(ctx); err == nil {
			err = p.receive(ctx, m.Payload)
		}
	}
	if ctx.Err() != nil {
		err = nil
	}
	ended()
	work.Wait()
	_ = p.conn.Close()
	return err
}

// receive takes a message of the arena.
func (p *player) receive(ctx context.Context, b []byte) error {
	m, err := game.ParseFromArena(b)
	if err != nil {
		return err
	}
	if _, welcome := m.(game.Welcome); welcome {
		err = p.conn.Send(ctx, client.Reliable, game.Control, game.Enter{Name: p.name}.Append(nil))
	}
	p.mu.Lock()
	p.take(m, time.Now())
	p.mu.Unlock()
	wake(p.changed)
	return err
}

// take puts a message into the view; mu is held.
func (p *player) take(m game.Message, now time.Time) {
	v := &p.view
	switch m := m.(type) {
	case game.Welcome:
		v.grid, v.in, v.snapshot = m.Grid, false, nil
		clear(v.names)
	case game.You:
		v.me, v.in = m.Player, true
	case game.Joined:
		if v.in && v.names[m.Player] != m.Name {
			v.say(m.Name + " joined")
		}
		v.names[m.Player] = m.Name
	case game.Gone:
		v.say(v.nameOf(m.Player) + " left")
		delete(v.names, m.Player)
	case game.Said:
		v.say(v.nameOf(m.Player) + ": " + m.Text)
		if v.in && m.Player != v.me {
			v.counts.othersChat++
		}
	case *game.Snapshot:
		v.snapshot = m
		p.count(now)
	}
}

// count takes the times of a snapshot that has just come; mu is held.
func (p *player) count(now time.Time) {
	c := &p.view.counts
	c.snapshots++
	if !c.last.IsZero() {
		c.gap = max(c.gap, now.Sub(c.last))
	}
	c.last = now
	me := p.view.self()
	if me == nil || me.Input == c.seen {
		return
	}
	c.seen = me.Input
	if s := p.sent[int(me.Input)%len(p.sent)]; s.number == me.Input && !s.at.IsZero() {
		c.age = now.Sub(s.at)
	}
}

func (v *view) say(line string) {
	v.chat = append(v.chat, line)
	if len(v.chat) > chatLines {
		v.chat = append(v.chat[:0:0], v.chat[1:]...)
	}
}

func (v *view) nameOf(id game.ID) string {
	if name := v.names[id]; name != "" {
		return name
	}
	return "somebody"
}

// self is how the arena sees this player; nil while it does not.
func (v *view) self() *game.PlayerView {
	if !v.in || v.snapshot == nil {
		return nil
	}
	return v.snapshot.Player(v.me)
}

// look returns a copy of the view.
func (p *player) look() view {
	p.mu.Lock()
	defer p.mu.Unlock()
	v := p.view
	v.names = make(map[game.ID]string, len(p.view.names))
	for id, name := range p.view.names {
		v.names[id] = name
	}
	v.chat = append([]string(nil), p.view.chat...)
	return v
}

// newGap begins to look for the longest gap anew.
func (p *player) newGap() {
	p.mu.Lock()
	p.view.counts.gap = 0
	p.mu.Unlock()
}

// steer changes the direction, and fires once if shoot is set.
func (p *player) steer(d game.Direction, shoot bool) {
	p.mu.Lock()
	news := shoot || d != p.input.Direction
	p.input.Direction = d
	if shoot {
		p.input.Shots++
	}
	p.mu.Unlock()
	if news {
		wake(p.steered)
	}
}

// shoot fires once.
func (p *player) shoot() {
	p.mu.Lock()
	p.input.Shots++
	p.mu.Unlock()
	wake(p.steered)
}

// say sends chat; what is too long is cut off.
func (p *player) say(ctx context.Context, text string) error {
	for len(text) > game.MaxText {
		_, n := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-n]
	}
	return p.conn.Send(ctx, client.Reliable, game.Control, game.Say{Text: text}.Append(nil))
}

func (p *player) sendInputs(ctx context.Context) {
	tick := time.NewTicker(inputEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-p.steered:
		}
		p.mu.Lock()
		playing, input := p.view.in, p.next(time.Now())
		p.mu.Unlock()
		if !playing {
			continue
		}
		// Without a session it is dropped, and after the end of the client run ends.
		_ = p.conn.Send(ctx, client.Unreliable, game.State, input.Append(nil))
	}
}

// next numbers the input; mu is held.
func (p *player) next(now time.Time) game.Input {
	p.input.Number++
	if p.input.Number == 0 { // means that there was none
		p.input.Number++
	}
	p.sent[int(p.input.Number)%len(p.sent)] = sentInput{p.input.Number, now}
	return p.input
}

// ping measures the round trip.
func (p *player) ping(ctx context.Context) {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		one, cancel := context.WithTimeout(ctx, pingEvery)
		rtt, err := p.conn.Ping(one)
		cancel()
		if err == nil {
			p.mu.Lock()
			p.view.counts.rtt = rtt
			p.mu.Unlock()
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
