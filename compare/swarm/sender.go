package swarm

import (
	"time"

	"strait/compare/measure"
)

// sender plays the schedule of a share of the players. One goroutine.
type sender struct {
	swarm  *swarm
	rotas  [flows]*rota
	buffer []byte            // an input
	lag    measure.Histogram // how late messages were sent
	unsent uint64            // were due when the load was stopped
}

func newSender(s *swarm, players []*player) *sender {
	w := &sender{swarm: s, buffer: filled(s.config.Inputs.Size)}
	for f := range w.rotas {
		w.rotas[f] = newRota(s.beats[f], s.config.Duration, f, players)
	}
	return w
}

// run sends until nothing is due any more or stop is closed.
func (w *sender) run(stop <-chan struct{}) {
	alarm := newAlarm()
	defer alarm.close()
	for {
		next, ok := w.send(w.swarm.now())
		if !ok {
			return
		}
		if !alarm.wait(time.Duration(next-w.swarm.now()), stop) {
			w.skip(w.swarm.now())
			return
		}
	}
}

// skip counts what is due at now and will not be sent.
func (w *sender) skip(now int64) {
	for _, r := range w.rotas {
		for {
			p, _, due, more := r.next()
			if !more || due+w.swarm.start > now {
				break
			}
			r.advance()
			if !p.ended.Load() {
				w.unsent++
			}
		}
	}
}

// send sends what is due at now, by the run's clock, and returns when something is
// due again; ok is false when nothing is.
func (w *sender) send(now int64) (next int64, ok bool) {
	for f, r := range w.rotas {
		for {
			p, seq, due, more := r.next()
			if !more {
				break
			}
			if due += w.swarm.start; due > now {
				if !ok || due < next {
					next, ok = due, true
				}
				break
			}
			r.advance()
			if p.ended.Load() {
				continue
			}
			if f == inputs {
				p.input(w.buffer, seq, due)
			} else {
				p.chat(seq)
			}
			w.lag.Add(w.swarm.now() - due)
		}
	}
	return next, ok
}
