package main

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"strait/backend"
	"strait/examples/arena/game"
)

// group is whom snapshots and chat go to.
const group = "arena"

// chatEvery is how soon a player may say something again; what comes sooner is
// dropped.
const chatEvery = 200 * time.Millisecond

// publisher is what the arena needs of a backend.Server.
type publisher interface {
	Publish(route, group string, d backend.Delivery, channel uint8, payload []byte, except ...*backend.Session) error
}

// arena joins sessions to the world.
type arena struct {
	log       *slog.Logger
	publisher publisher // set before the first callback
	began     time.Time

	// Guarded by mu, which is held while messages are queued: what two players are
	// told of each other has one order. Queueing never waits for the network.
	mu      sync.Mutex
	world   *game.World
	players map[*backend.Session]*player
	buf     []byte // of the last message
}

// player is a session that is in the world.
type player struct {
	id     game.ID
	name   string
	spoken time.Time
}

func newArena(w *game.World, log *slog.Logger) *arena {
	return &arena{log: log, began: time.Now(), world: w, players: make(map[*backend.Session]*player)}
}

func (a *arena) handler() backend.Handler {
	return backend.Funcs{OnOpened: a.opened, OnMessage: a.message, OnClosed: a.closed}
}

// run makes the world's steps until ctx is done.
func (a *arena) run(ctx context.Context) {
	tick := time.NewTicker(time.Second / game.StepsPerSecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			a.step(time.Since(a.began))
		}
	}
}

// step publishes the world of this moment to everybody in it.
func (a *arena) step(now time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	snapshot := a.world.Tick(now)
	if len(a.players) > 0 {
		a.publish(backend.Unreliable, game.State, snapshot)
	}
}

// opened welcomes a session, also one that is announced again: what it was told
// before may have been lost with its stream.
func (a *arena) opened(s *backend.Session) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.send(s, game.Welcome{Grid: *a.world.Grid()})
}

func (a *arena) message(s *backend.Session, m backend.Message) {
	msg, err := game.ParseToArena(m.Payload)
	if err != nil {
		a.check(s, s.Close(backend.ProtocolError, err.Error()))
		return
	}
	switch msg := msg.(type) {
	case game.Enter:
		a.enter(s, msg.Name)
	case game.Input:
		a.apply(s, msg)
	case game.Say:
		a.say(s, msg.Text)
	}
}

func (a *arena) apply(s *backend.Session, in game.Input) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if p := a.players[s]; p != nil {
		a.world.Apply(p.id, in)
	}
}

func (a *arena) say(s *backend.Session, text string) {
	a.mu.Lock()
	p, now := a.players[s], time.Now()
	heard := p != nil && now.Sub(p.spoken) >= chatEvery
	if heard {
		p.spoken = now
		a.publish(backend.Reliable, game.Control, game.Said{Player: p.id, Text: text})
	}
	a.mu.Unlock()
	if heard {
		a.log.Info("chat", "from", p.name, "text", text)
	}
}

// enter lets a player in, or tells one who is in already how things are.
func (a *arena) enter(s *backend.Session, name string) {
	p, isNew := a.admit(s, name)
	switch {
	case p == nil:
		a.check(s, s.Close(backend.Overloaded, "the arena is full"))
	case isNew:
		a.log.Info("joined", "player", name, "id", p.id, "transport", s.Transport())
	}
}

// admit returns nil when the arena is full.
func (a *arena) admit(s *backend.Session, name string) (p *player, isNew bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if p = a.players[s]; p == nil {
		id, ok := a.world.Enter()
		if !ok {
			return nil, false
		}
		p, isNew = &player{id: id, name: name}, true
		for other := range a.players {
			a.send(other, game.Joined{Player: id, Name: name})
		}
		a.players[s] = p
	}
	for _, other := range a.players {
		a.send(s, game.Joined{Player: other.id, Name: other.name})
	}
	a.send(s, game.You{Player: p.id})
	a.check(s, s.Join(group))
	return p, isNew
}

func (a *arena) closed(s *backend.Session, c backend.Closed) {
	if p := a.remove(s); p != nil {
		a.log.Info("left", "player", p.name, "id", p.id, "because", c.Code)
	}
}

// remove returns nil for a session that was not in.
func (a *arena) remove(s *backend.Session) *player {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.players[s]
	if p == nil {
		return nil
	}
	delete(a.players, s)
	a.world.Leave(p.id)
	for other := range a.players {
		a.send(other, game.Gone{Player: p.id})
	}
	return p
}

func (a *arena) send(s *backend.Session, m game.Message) {
	a.buf = m.Append(a.buf[:0])
	a.check(s, s.Send(backend.Reliable, game.Control, a.buf))
}

func (a *arena) publish(d backend.Delivery, channel uint8, m game.Message) {
	a.buf = m.Append(a.buf[:0])
	err := a.publisher.Publish("", group, d, channel, a.buf)
	if err != nil && !errors.Is(err, backend.ErrNoGateway) {
		a.log.Debug("not published", "delivery", d, "err", err)
	}
}

// check takes the error of a command. A session that has ended, or whose stream was
// lost, is closed or announced again, and then told everything anew. A gateway that
// does not read is about to lose its streams, which comes to the same.
func (a *arena) check(s *backend.Session, err error) {
	if err != nil {
		a.log.Debug("a command was refused", "session", s.ID(), "err", err)
	}
}
