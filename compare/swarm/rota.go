package swarm

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"
)

// rota is the schedule of one flow of some clients: each of them once an interval,
// at a phase of its own. All have the same interval, so that the order of the
// phases is the order of every round.
type rota struct {
	beat  beat
	end   int64  // ns after the start; nothing is due from then on
	turns []turn // ascending by phase
	at    int    // whose turn is next
	round uint32 // and which of his messages that is
}

// turn is one client's place in a round.
type turn struct {
	phase  int64 // ns after the start of each round
	player *player
}

// beat is how often a flow sends.
type beat struct {
	interval float64 // ns; 0 is never
}

func newBeat(rate float64) beat {
	if rate == 0 {
		return beat{}
	}
	return beat{float64(time.Second) / rate}
}

// phase is a client's place within the interval: random, but the same for a seed
// whatever the other clients do.
func (b beat) phase(seed uint64, flow int, client uint32) int64 {
	r := rand.New(rand.NewPCG(seed, uint64(flow)<<32|uint64(client)))
	return int64(r.Float64() * b.interval)
}

// due is when the message with a sequence number is due, in nanoseconds after the
// start. It does not drift.
func (b beat) due(seq uint32, phase int64) int64 {
	return int64(float64(seq)*b.interval) + phase
}

// newRota makes the schedule of one flow for the players.
func newRota(b beat, end time.Duration, flow int, players []*player) *rota {
	r := &rota{beat: b, end: int64(end)}
	if b.interval == 0 {
		return r
	}
	r.turns = make([]turn, len(players))
	for i, p := range players {
		r.turns[i] = turn{p.phases[flow], p}
	}
	slices.SortStableFunc(r.turns, func(a, b turn) int { return cmp.Compare(a.phase, b.phase) })
	return r
}

// next is who sends next, which of his messages, and when it is due, in nanoseconds
// after the start. False: nothing is due any more.
func (r *rota) next() (p *player, seq uint32, due int64, ok bool) {
	if len(r.turns) == 0 {
		return nil, 0, 0, false
	}
	t := r.turns[r.at]
	due = r.beat.due(r.round, t.phase)
	return t.player, r.round, due, due < r.end
}

// advance goes on to the turn after.
func (r *rota) advance() {
	if r.at++; r.at == len(r.turns) {
		r.at = 0
		r.round++
	}
}
