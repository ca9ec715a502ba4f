package queue_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/queue"
)

// The specification is a sequential machine. A call of the ring is one step
// of it or two, each somewhere between the call and its return:
//
//	Push, PushBatch  reserve, then publish (reserve alone if nothing fitted)
//	Drain            take, then free (take alone if nothing was there)
//	Wait, Wake, Close, each one step
//
// So a slot is occupied from reserve to free, and visible from publish to
// take. This is all the slack there is: full and closed are exact, a prefix is
// as long as it can be, a batch appears at once, and Drain stops short only at
// an element reserved and not published.
type step struct {
	kind   kind
	push   int   // reserve, publish: which push
	values []int // reserve: what was offered; take: what came out
	n      int   // reserve: how many went in; take: the room; free: how many
	ok     bool  // wait: the answer
}

type kind int

const (
	reserve kind = iota
	publish
	take
	free
	wait
	wake
	closing
)

// machine is the specification's state; == compares it.
type machine struct {
	slots    int
	items    [4]item // oldest first
	occupied int     // how many of items are in use
	taken    int     // taken and not yet freed
	nudged   bool
	closed   bool
}

type item struct {
	value, push int
	published   bool
}

func (m machine) room() int {
	if m.closed {
		return 0
	}
	return m.slots - m.occupied - m.taken
}

// next returns the states that the machine can be in after s: none if s is
// impossible in m.
func (m machine) next(s step) []machine {
	switch s.kind {
	case reserve:
		if s.n != min(len(s.values), m.room()) {
			return nil
		}
		for _, v := range s.values[:s.n] {
			m.items[m.occupied] = item{value: v, push: s.push}
			m.occupied++
		}
	case publish:
		found := false
		for i := range m.items[:m.occupied] {
			if m.items[i].push == s.push && !m.items[i].published {
				m.items[i].published = true
				found = true
			}
		}
		if !found {
			return nil
		}
	case take:
		n := 0
		for n < min(s.n, m.occupied) && m.items[n].published {
			n++
		}
		if m.taken != 0 || n != len(s.values) {
			return nil
		}
		for i, v := range s.values {
			if m.items[i].value != v {
				return nil
			}
		}
		var rest [4]item
		copy(rest[:], m.items[n:m.occupied])
		m.items = rest
		m.occupied -= n
		m.taken = n
	case free:
		if m.taken != s.n || s.n == 0 {
			return nil
		}
		m.taken = 0
	case wait:
		visible := m.occupied > 0 && m.items[0].published
		if !s.ok {
			if m.closed && m.occupied == 0 && !m.nudged {
				return []machine{m}
			}
			return nil
		}
		var after []machine
		if visible {
			after = append(after, m)
		}
		if m.nudged {
			m.nudged = false
			after = append(after, m)
		}
		return after
	case wake:
		m.nudged = true
	case closing:
		m.closed = true
	}
	return []machine{m}
}

func specification(slots int) porcupine.Model {
	return (&porcupine.NondeterministicModel{
		Init: func() []any { return []any{machine{slots: slots}} },
		Step: func(state, input, _ any) []any {
			var after []any
			for _, m := range state.(machine).next(input.(step)) {
				after = append(after, m)
			}
			return after
		},
		DescribeOperation: func(input, _ any) string { return fmt.Sprintf("%+v", input) },
	}).ToModel()
}

// recorder is one goroutine's part of a history.
type recorder struct {
	began   time.Time // the same for all
	history []porcupine.Operation
}

func (r *recorder) record(call func() []step) {
	from := time.Since(r.began).Nanoseconds()
	steps := call()
	to := time.Since(r.began).Nanoseconds()
	for _, s := range steps {
		r.history = append(r.history, porcupine.Operation{Input: s, Call: from, Return: to})
	}
}

func (r *recorder) push(ring *queue.Ring[int], id int, values []int) {
	r.record(func() []step {
		n := 0
		if len(values) > 1 {
			n = ring.PushBatch(values)
		} else if ring.Push(values[0]) {
			n = 1
		}
		steps := []step{{kind: reserve, push: id, values: values, n: n}}
		if n > 0 {
			steps = append(steps, step{kind: publish, push: id})
		}
		return steps
	})
}

func (r *recorder) drain(ring *queue.Ring[int], room int) {
	r.record(func() []step {
		dst := make([]int, room)
		n := ring.Drain(dst)
		steps := []step{{kind: take, values: dst[:n], n: room}}
		if n > 0 {
			steps = append(steps, step{kind: free, n: n})
		}
		return steps
	})
}

func (r *recorder) wait(ring *queue.Ring[int]) (ok bool) {
	r.record(func() []step {
		ok = ring.Wait()
		return []step{{kind: wait, ok: ok}}
	})
	return ok
}

// recordHistory lets producers, a consumer, a caller of Wake and one of Close
// loose on a small ring.
func recordHistory(seed uint64, slots int) []porcupine.Operation {
	const producers, pushes = 3, 6
	ring := queue.New[int](slots)
	began := time.Now()
	recorders := make([]recorder, producers+3)
	for i := range recorders {
		recorders[i].began = began
	}
	start := make(chan struct{})
	var running sync.WaitGroup
	run := func(i int, body func(*recorder, *rand.Rand)) {
		running.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(i)))
			<-start
			body(&recorders[i], random)
		})
	}
	for p := range producers {
		run(p, func(r *recorder, random *rand.Rand) {
			for i := range pushes {
				id := 1 + p*pushes + i
				values := []int{10 * id, 10*id + 1, 10*id + 2}[:1+random.IntN(3)]
				r.push(ring, id, values)
				if random.IntN(2) == 0 {
					runtime.Gosched()
				}
			}
		})
	}
	run(producers, func(r *recorder, random *rand.Rand) {
		for {
			if random.IntN(3) > 0 && !r.wait(ring) {
				return
			}
			r.drain(ring, 1+random.IntN(4))
		}
	})
	run(producers+1, func(r *recorder, random *rand.Rand) {
		for range 2 {
			runtime.Gosched()
			r.record(func() []step { ring.Wake(); return []step{{kind: wake}} })
		}
	})
	run(producers+2, func(r *recorder, random *rand.Rand) {
		for range random.IntN(40) {
			runtime.Gosched()
		}
		r.record(func() []step { ring.Close(); return []step{{kind: closing}} })
	})
	close(start)
	running.Wait()
	var history []porcupine.Operation
	for i, r := range recorders {
		for _, o := range r.history {
			o.ClientId = i
			history = append(history, o)
		}
	}
	return history
}

func TestLinearizability(t *testing.T) {
	rounds := 300
	if testing.Short() {
		rounds = 40
	}
	unknown := 0
	for seed := range uint64(rounds) {
		slots := 2 << (seed % 2)
		history := recordHistory(seed, slots)
		result := porcupine.CheckOperationsTimeout(specification(slots), history, 5*time.Second)
		require.NotEqual(t, porcupine.Illegal, result, "round %d with %d slots: %+v", seed, slots, history)
		if result == porcupine.Unknown {
			unknown++
		}
	}
	assert.LessOrEqual(t, unknown, rounds/10, "too many histories were too long to decide")
}

// The check must be able to fail: histories just inside and just outside the
// specification, on a ring of two slots. Each inner list is one call's steps
// or several calls' at the same time; the lists follow one another.
func TestSpecificationRejects(t *testing.T) {
	in := func(push int, values ...int) step {
		return step{kind: reserve, push: push, values: values, n: len(values)}
	}
	refused := func(values ...int) step { return step{kind: reserve, push: 99, values: values} }
	out := func(push int) step { return step{kind: publish, push: push} }
	got := func(room int, values ...int) step { return step{kind: take, values: values, n: room} }
	freed := func(n int) step { return step{kind: free, n: n} }
	waited := func(ok bool) step { return step{kind: wait, ok: ok} }
	type history [][]step
	push := func(id int, values ...int) []step { return []step{in(id, values...), out(id)} }
	drain := func(room int, values ...int) []step {
		return []step{got(room, values...), freed(len(values))}
	}
	for name, c := range map[string]struct {
		history history
		legal   bool
	}{
		"in order":                      {history{push(1, 1), push(2, 2), drain(2, 1, 2)}, true},
		"out of order":                  {history{push(1, 1), push(2, 2), drain(2, 2, 1)}, false},
		"lost":                          {history{push(1, 1), push(2, 2), drain(2, 2)}, false},
		"twice":                         {history{push(1, 1), drain(2, 1), drain(2, 1)}, false},
		"from nowhere":                  {history{drain(2, 1)}, false},
		"not all there was":             {history{push(1, 1), push(2, 2), drain(2, 1)}, false},
		"as much as there was room for": {history{push(1, 1), push(2, 2), drain(1, 1)}, true},
		"empty, and nothing in flight":  {history{push(1, 1), {got(1)}}, false},
		"empty behind a push in flight": {history{{in(1, 1)}, push(2, 2), {got(2)}, {out(1)}, drain(2, 1, 2)}, true},
		"past a push in flight":         {history{{in(1, 1)}, push(2, 2), drain(2, 2), {out(1)}}, false},
		"full":                          {history{push(1, 1), push(2, 2), {refused(3)}}, true},
		"full by a push in flight":      {history{push(1, 1), {in(2, 2)}, {refused(3)}, {out(2)}}, true},
		"full by a drain in flight":     {history{push(1, 1, 2), {got(2, 1, 2)}, {refused(3)}, {freed(2)}}, true},
		"full, and it is not":           {history{push(1, 1), {refused(3)}}, false},
		"full after a drain":            {history{push(1, 1, 2), drain(2, 1, 2), {refused(3)}}, false},
		"more than fits":                {history{push(1, 1, 2), push(2, 3)}, false},
		"a prefix too short":            {history{{{kind: reserve, push: 1, values: []int{1, 2}, n: 1}, out(1)}}, false},
		"a prefix that fits": {history{
			push(1, 1), {{kind: reserve, push: 2, values: []int{2, 3}, n: 1}, out(2)}, drain(2, 1, 2),
		}, true},
		"half a batch":               {history{append(push(1, 1, 2), got(2, 1), freed(1))}, false},
		"a whole batch":              {history{append(push(1, 1, 2), got(2, 1, 2), freed(2))}, true},
		"pushed after Close":         {history{{{kind: closing}}, push(1, 1)}, false},
		"refused beside Close":       {history{{{kind: closing}, refused(1)}}, true},
		"parked is not over":         {history{{waited(false)}}, false},
		"over":                       {history{push(1, 1), {{kind: closing}}, drain(1, 1), {waited(false)}}, true},
		"over with a push in flight": {history{{in(1, 1)}, {{kind: closing}}, {waited(false)}, {out(1)}}, false},
		"over before the last":       {history{push(1, 1), {{kind: closing}}, {waited(false)}}, false},
		"woken for nothing":          {history{{waited(true)}}, false},
		"woken by a push":            {history{push(1, 1), {waited(true)}, {waited(true)}}, true},
		"woken by Wake":              {history{{{kind: wake}}, {waited(true)}}, true},
		"woken twice by one Wake":    {history{{{kind: wake}}, {waited(true)}, {waited(true)}}, false},
		"a Wake forgotten":           {history{{{kind: wake}}, {{kind: closing}}, {waited(false)}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			var operations []porcupine.Operation
			for i, steps := range c.history {
				for _, s := range slices.Backward(steps) {
					operations = append(operations, porcupine.Operation{
						Input: s, Call: int64(10 * i), Return: int64(10*i + 5),
					})
				}
			}
			assert.Equal(t, c.legal, porcupine.CheckOperations(specification(2), operations))
		})
	}
}
