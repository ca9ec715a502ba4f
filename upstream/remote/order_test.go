package remote_test

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"strait/proto/batch"
	"strait/transport"
	"strait/upstream"
	"strait/upstream/remote"
	"strait/upstream/upstreamtest"
)

// TestOrderUnderFailover kills streams at random while all shards deliver, and
// looks at what the backends got of each session.
func TestOrderUnderFailover(t *testing.T) {
	for name, acks := range map[string]bool{"acknowledged": true, "not acknowledged": false} {
		t.Run(name, func(t *testing.T) {
			t.Cleanup(func() { goleak.VerifyNone(t) })
			n, g := newNetwork(), upstreamtest.NewGateway(t, 4)
			// What a backend got before it was killed it may look at late, so that there
			// is an order on each connection only.
			var mu sync.Mutex
			log := make(map[uint64]map[*conn][]seen)
			backends := []string{"10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"}
			var ls []*logic
			for _, a := range backends {
				l := newLogic()
				l.acks, l.mute = acks, true
				l.tap = func(c *conn, s seen) {
					mu.Lock()
					defer mu.Unlock()
					if log[s.Session] == nil {
						log[s.Session] = make(map[*conn][]seen)
					}
					log[s.Session][c] = append(log[s.Session][c], s)
				}
				ls = append(ls, n.up(a, l))
			}
			p := start(t, g, n, remote.Config{Grace: time.Minute}, backends...)
			for _, l := range ls {
				l.connected(t, 2)
			}
			const players = 24
			messages := 400
			if testing.Short() {
				messages = 100
			}
			stop := make(chan struct{})
			var killer, talkers sync.WaitGroup
			killer.Go(func() {
				r := rand.New(rand.NewPCG(1, 2))
				for {
					select {
					case <-stop:
						return
					case <-time.After(time.Duration(r.IntN(3000)) * time.Microsecond):
					}
					l := ls[r.IntN(len(ls))]
					l.mu.Lock()
					conns := l.conns
					l.mu.Unlock()
					if len(conns) > 0 {
						_ = conns[r.IntN(len(conns))].Close()
					}
				}
			})
			var sessions []*upstreamtest.Session
			for range players {
				s := g.Open(upstream.Announcement{})
				sessions = append(sessions, s)
				talkers.Go(func() {
					for i := range messages {
						s.Say(transport.Reliable, 0, strconv.Itoa(i))
						if i%16 == 0 {
							runtime.Gosched()
							time.Sleep(100 * time.Microsecond)
						}
					}
				})
			}
			talkers.Wait()
			for _, s := range sessions {
				// Behind a gate, until a backend is back.
				require.Eventually(t, func() bool { return s.Held() == 0 }, upstreamtest.Patience, time.Millisecond)
			}
			close(stop)
			killer.Wait()
			g.Settle()
			require.NoError(t, p.Barrier(t.Context()))

			mu.Lock()
			defer mu.Unlock()
			missing := 0
			for _, s := range sessions {
				missing += checkOrder(t, log[s.Handle()], messages, acks)
			}
			var lost uint64
			for _, st := range p.Status().Streams {
				lost += st.Lost
			}
			require.NotZero(t, lost, "no stream was killed")
			if acks {
				require.Zero(t, missing)
			}
			require.GreaterOrEqual(t, g.Drops(upstream.DropStreamLost), missing, "messages that nobody counted")
		})
	}
}

// checkOrder returns how many messages of a session no backend got.
func checkOrder(t *testing.T, log map[*conn][]seen, messages int, acks bool) (missing int) {
	t.Helper()
	got := make([]int, messages)
	type span struct{ first, last int }
	var spans []span
	for _, events := range log {
		require.Contains(t, []string{"opened", "again"}, events[0].Kind)
		s := span{-1, -1}
		for _, e := range events[1:] {
			require.Equal(t, "message", e.Kind)
			k, err := strconv.Atoi(e.Text)
			require.NoError(t, err)
			if s.first < 0 {
				s.first = k
			} else {
				require.Equal(t, s.last+1, k, "out of order: %v", events)
			}
			s.last = k
			got[k]++
		}
		if s.first >= 0 {
			spans = append(spans, s)
		}
	}
	slices.SortFunc(spans, func(a, b span) int { return a.first - b.first })
	for i := 1; i < len(spans) && !acks; i++ {
		require.Greater(t, spans[i].first, spans[i-1].last, "delivered twice, or out of order: %v", spans)
	}
	for _, n := range got {
		if n == 0 {
			missing++
		}
	}
	return missing
}

// TestOrderUnderMoves lets game logic move sessions to and fro while they talk, which
// they do until each has moved there and back.
func TestOrderUnderMoves(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	n, g := newNetwork(), upstreamtest.NewGateway(t, 4)
	routes := []string{"a", "b"}
	addresses := []string{"10.0.0.1:1", "10.0.0.2:1"}
	var mu sync.Mutex
	logs := []map[uint64][]seen{make(map[uint64][]seen), make(map[uint64][]seen)}
	moves := make(map[uint64]int)
	var ls []*logic
	for i, a := range addresses {
		l := serving(routes[i])
		l.mute = true
		l.tap = func(_ *conn, s seen) {
			mu.Lock()
			logs[i][s.Session] = append(logs[i][s.Session], s)
			if s.Kind == "closed" {
				moves[s.Session]++
			}
			mu.Unlock()
		}
		l.reply = func(s seen) []byte {
			if k, _ := strconv.Atoi(s.Text); s.Kind == "message" && k%7 == 6 {
				return batch.AppendMove(nil, s.Session, routes[1-i])
			}
			return nil
		}
		ls = append(ls, n.up(a, l))
	}
	p := start(t, g, n, remote.Config{}, addresses...)
	for _, l := range ls {
		l.connected(t, 2)
	}
	require.Eventually(t, func() bool {
		for _, s := range p.Status().Streams {
			if s.Name == "" {
				return false
			}
		}
		return true
	}, upstreamtest.Patience, time.Millisecond)
	const players, messages = 16, 300
	giveUp := time.Now().Add(upstreamtest.Patience)
	more := func(s *upstreamtest.Session) bool {
		time.Sleep(100 * time.Microsecond) // for the answers to what was said
		mu.Lock()
		defer mu.Unlock()
		return moves[s.Handle()] < 2 && time.Now().Before(giveUp)
	}
	var talkers sync.WaitGroup
	var sessions []*upstreamtest.Session
	said := make([]int, players)
	for n := range players {
		s := g.Open(upstream.Announcement{Route: "a"})
		sessions = append(sessions, s)
		talkers.Go(func() {
			i := 0
			for ; i < messages || more(s); i++ {
				s.SayReliable(strconv.Itoa(i))
				if i%8 == 0 {
					runtime.Gosched()
				}
			}
			said[n] = i
		})
	}
	talkers.Wait()
	g.Settle()
	require.NoError(t, p.Barrier(t.Context()))
	mu.Lock()
	defer mu.Unlock()
	for n, s := range sessions {
		require.GreaterOrEqual(t, moves[s.Handle()], 2, "player %d did not move there and back", n)
		got := make([]bool, said[n])
		for _, log := range logs {
			open, last := false, -1
			for _, e := range log[s.Handle()] {
				switch e.Kind {
				case "opened":
					require.False(t, open, "opened twice")
					open = true
				case "closed":
					require.True(t, open)
					require.Equal(t, "moved", e.Text)
					open = false
				default:
					k, err := strconv.Atoi(e.Text)
					require.NoError(t, err)
					require.True(t, open, "a message of a session that is not open")
					require.Greater(t, k, last)
					last, got[k] = k, true
				}
			}
		}
		require.NotContains(t, got, false)
	}
}

// TestDeliverDoesNotAllocate counts what it costs to take events, encode them,
// write them and give their buffers back.
func TestDeliverDoesNotAllocate(t *testing.T) {
	if raceDetector {
		t.Skip("sync.Pool forgets buffers at random under the race detector")
	}
	n, g := newNetwork(), upstreamtest.NewGateway(t, 1)
	n.sink = true
	p := start(t, g, n, remote.Config{Streams: 1, PingEvery: time.Hour, PingTimeout: time.Hour, FullTimeout: time.Hour}, "10.0.0.1:1")
	require.Eventually(t, func() bool { ok, _ := p.Ready(); return ok }, upstreamtest.Patience, time.Millisecond)
	s := g.Open(upstream.Announcement{})
	g.Settle()
	payload := make([]byte, 64)
	events := make([]upstream.Event, 128)
	round := func() {
		for i := range events {
			events[i] = s.BytesEvent(transport.Reliable, 0, payload)
		}
		p.Deliver(0, events)
		for p.Status().Streams[0].QueuedEvents > 0 {
			runtime.Gosched()
		}
	}
	for range 1000 { // until nothing is retained for a backend that does not acknowledge
		round()
	}
	var before, after runtime.MemStats
	status := testing.AllocsPerRun(100, func() { p.Status() })
	runtime.ReadMemStats(&before)
	const rounds = 200
	polls := 0
	for range rounds {
		for i := range events {
			events[i] = s.BytesEvent(transport.Reliable, 0, payload)
		}
		p.Deliver(0, events)
		for polls++; p.Status().Streams[0].QueuedEvents > 0; polls++ {
			runtime.Gosched()
		}
	}
	runtime.ReadMemStats(&after)
	allocs := float64(after.Mallocs-before.Mallocs) - status*float64(polls)
	require.Less(t, allocs/(rounds*float64(len(events))), 0.01, "allocations per event")
}
