package game

import (
	"context"
	"fmt"
	"sync"
	"time"

	"strait/compare/measure"
)

// Logic is game logic's end of the game, for all players. One Logic serves one run.
type Logic struct {
	clock   Clock
	flows   []measure.Flow
	maximum int

	mu      sync.Mutex
	players map[uint32]*seat
	late    measure.Histogram
}

// seat is one player, across his connections.
type seat struct {
	log    measure.PlayerLog
	sender Sender // nil between two
	since  int64  // due time of the newest message that came by sender
	first  int64  // tick at which his flows start; 0 before it
}

// NewLogic returns game logic for at most players players; what comes from others
// is ignored.
func NewLogic(w Workload, clock Clock, players int) (*Logic, error) {
	if err := w.Validate(); err != nil {
		return nil, err
	}
	if players < 1 {
		return nil, fmt.Errorf("%d players; a game has at least one", players)
	}
	return &Logic{clock: clock, flows: w.Flows(), maximum: players, players: make(map[uint32]*seat)}, nil
}

// Message takes what came from a player on the session of s; payload is borrowed.
// A player is answered on the session from which his newest message came. Safe for
// concurrent use.
func (l *Logic) Message(s Sender, payload []byte) {
	now := l.clock.Now()
	h, err := parse(payload)
	if err != nil || !l.flows[h.flow].Up {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.players[h.player]
	if p == nil {
		if len(l.players) >= l.maximum {
			return
		}
		p = &seat{log: measure.PlayerLog{Player: h.player, Logs: make([]measure.Log, len(l.flows))}}
		l.players[h.player] = p
	}
	if p.sender == nil || h.due >= p.since {
		p.sender, p.since = s, h.due
	}
	a := &p.log.Logs[h.flow]
	a.Arrivals = append(a.Arrivals, measure.Arrival{Seq: h.seq, Due: h.due, At: now})
}

// Closed says that the session of s has ended.
func (l *Logic) Closed(s Sender) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.players {
		if p.sender == s {
			p.sender = nil
		}
	}
}

// due is one message that is to be sent now.
type due struct {
	sender  Sender
	flow    int
	payload []byte
	seat    *seat
	seq     uint32
}

// Run sends to the players until the clock shows until or ctx ends.
func (l *Logic) Run(ctx context.Context, until int64) {
	step := int64(period(l.flows[flowSnapshots]))
	for i := range l.flows {
		if f := &l.flows[i]; !f.Up {
			step = min(step, int64(period(*f)))
		}
	}
	fill := make([][]byte, len(l.flows))
	for i, f := range l.flows {
		fill[i] = filler(f.Bytes)
	}
	var now []due
	t := time.NewTimer(0)
	defer t.Stop()
	for at := l.clock.Now() + step; at < until; at += step {
		late := int64(-1)
		if d := l.clock.until(at); d > 0 {
			t.Reset(d)
			select {
			case <-t.C:
				late = l.clock.Now() - at
			case <-ctx.Done():
				return
			}
		}
		now = l.collect(now[:0], at, step, late, fill)
		l.deliver(now)
	}
}

// collect notes everything that falls due at the tick at. A reliable message of a
// player without a session is kept for the next tick, still due when it was.
func (l *Logic) collect(now []due, at, step, late int64, fill [][]byte) []due {
	l.mu.Lock()
	defer l.mu.Unlock()
	if late >= 0 {
		l.late.Add(late)
	}
	for number, p := range l.players {
		if p.first == 0 {
			p.first = at
		}
		for i, f := range l.flows {
			if f.Up {
				continue
			}
			log := &p.log.Logs[i]
			for {
				when := p.first + int64(len(log.Due))*int64(period(f))
				if when > at+step/2 || p.sender == nil && f.Reliable {
					break
				}
				if when > at-step {
					when = at // game logic speaks at its ticks
				}
				seq := uint32(len(log.Due))
				log.Due = append(log.Due, when)
				if p.sender == nil {
					log.Refused = append(log.Refused, seq)
					continue
				}
				b := append([]byte(nil), fill[i]...)
				header{flow: uint8(i), player: number, seq: seq, due: when}.put(b)
				now = append(now, due{p.sender, i, b, p, seq})
			}
		}
	}
	return now
}

// deliver sends without the lock: a transport may call back.
func (l *Logic) deliver(now []due) {
	for i, d := range now {
		f := l.flows[d.flow]
		if d.sender.Send(delivery(f), f.Channel, d.payload) != nil {
			l.mu.Lock()
			log := &d.seat.log.Logs[d.flow]
			log.Refused = append(log.Refused, d.seq)
			l.mu.Unlock()
		}
		if i+1 == len(now) || now[i+1].sender != d.sender {
			d.sender.Flush()
		}
	}
}

// Logs returns what game logic has of each player, in no order, and how late its
// own clockwork was. Called after Run has returned and the last message has come.
func (l *Logic) Logs() ([]measure.PlayerLog, *measure.Histogram) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []measure.PlayerLog
	for _, p := range l.players {
		out = append(out, p.log)
	}
	late := new(measure.Histogram)
	late.Merge(&l.late)
	return out, late
}
