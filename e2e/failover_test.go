package e2e

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/proto/straitv1"
)

// Game logic that is absent at start: players wait for it, their PINGs are
// answered meanwhile, and what they said is delivered once it is there.
func TestGameLogicAppearsLater(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	gw := serve(t, "STRAIT_UPSTREAM=link+unix://"+path, "STRAIT_UPSTREAM_GRACE=1m")
	gw.polls(func() bool {
		status, why := gw.get("/readyz")
		return status == http.StatusServiceUnavailable && strings.Contains(why, path) && strings.Contains(why, "no such file")
	}, "/readyz does not tell what is missing")
	p := connect(t, gw)
	p.write(clientHello(), data(1, []byte("is anybody")), data(1, []byte("there?")), raw(tPing, []byte("12345678")))
	p.welcome()
	assert.Equal(t, "12345678", string(p.expect(tPong).payload[:8]))
	gw.reaches("strait_upstream_waiting_sessions", 1)
	gone := join(t, gw)
	gone.lose()
	gw.falls(`strait_sessions{transport="tcp"}`, 1)

	game := listenUnix(t, path)
	p.expectData(1, []byte("is anybody"))
	p.expectData(1, []byte("there?"))
	assert.False(t, game.announced(t, p).GetOpened().Again, "he is new to game logic")
	gw.polls(func() bool { status, _ := gw.get("/readyz"); return status == http.StatusOK }, "/readyz does not turn 200")
	p.plays()
	assert.Zero(t, game.events.count(gone.opens), "who left before is not announced")
}

// Without game logic for longer than the grace time the players are told so.
func TestGraceTime(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	gw := serve(t, "STRAIT_UPSTREAM=link+unix://"+path, "STRAIT_UPSTREAM_GRACE=500ms")
	began := time.Now()
	p := join(t, gw)
	p.write(data(0, []byte("hello?")))
	c := p.expectClose(cUpstreamLost)
	assert.NotEmpty(t, c.Reason)
	assert.GreaterOrEqual(t, time.Since(began), 450*time.Millisecond)
	gw.reaches(end("UPSTREAM_LOST"), 1)

	// One that had been there: its players wait likewise, and are lost likewise.
	game := listenUnix(t, path)
	gw.polls(func() bool { status, _ := gw.get("/readyz"); return status == http.StatusOK }, "/readyz does not turn 200")
	p = join(t, gw)
	p.plays()
	game.close()
	p.expectClose(cUpstreamLost)
	status, _ := gw.get("/readyz")
	assert.Equal(t, http.StatusServiceUnavailable, status)
}

// A backend that returns within the grace time gets its players again.
func TestRestartWithinTheGraceTime(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	game := listenUnix(t, path)
	gw := serve(t, game.env()...)
	p := join(t, gw)
	p.plays()
	first := game.announced(t, p)
	first.on.command(t, joinGroup("team", first.Session), reply([]byte("joined"), first.Session))
	p.expectData(0, []byte("joined"))
	game.close()
	p.write(data(7, []byte("meanwhile")))

	game = listenUnix(t, path)
	again := game.again(t, p)
	assert.Equal(t, first.Session, again.Session)
	p.expectData(7, []byte("meanwhile"))
	again.on.command(t, publish("team", "still in it"))
	p.expectData(1, []byte("still in it"))
	p.plays()
}

// One of two backends dies: its players are announced to the other one.
func TestFailover(t *testing.T) {
	t.Parallel()
	a, b := listenLogic(t), listenLogic(t)
	gw := serve(t, "STRAIT_UPSTREAM="+a.url+","+b.url)
	a.attached(t, 2)
	b.attached(t, 2)
	other := follow(t, joinUntil(t, gw, b))
	p := joinUntil(t, gw, a)
	other.undisturbed(t)
	a.close()
	b.again(t, p)
	p.plays()
	other.undisturbed(t)
	assert.Equal(t, 1, b.events.count(other.opens), "who was on the other one is not announced again")
}

// One of two backends hangs. The other's players notice nothing, its own fail over,
// and nobody new is put there, although it takes connections still: whether it says
// nothing at all on them, as a stopped process would, or greets before it hangs, as
// one would whose game loop is stuck.
func TestHungBackend(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		greets bool
	}{{"says nothing", false}, {"greets", true}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			hang := make(chan struct{})
			var hung atomic.Bool
			a, b := listenLogic(t), listenLogic(t, func(g *logic) {
				g.before = func(in *straitv1.GatewayBatch) {
					if hung.Load() && !(c.greets && in.Hello != nil) {
						<-hang
					}
				}
			})
			release := sync.OnceFunc(func() { close(hang) })
			t.Cleanup(release) // before the backends are closed
			gw := serve(t, "STRAIT_UPSTREAM="+a.url+","+b.url, "STRAIT_UPSTREAM_STREAMS=1")
			a.attached(t, 1)
			b.attached(t, 1)
			other := follow(t, joinUntil(t, gw, a))
			victims := []*player{joinUntil(t, gw, b), joinUntil(t, gw, b)}
			hung.Store(true)
			from := other.played()
			for _, p := range victims {
				p.write(data(1, []byte("hello?")))
			}
			gw.logged("a log line about the hung backend", func(l string) bool {
				return strings.Contains(l, "stream lost") && strings.Contains(l, b.url) && strings.Contains(l, "ping")
			})
			assert.Greater(t, other.played(), from+2, "rounds of another backend's player before the hung one was given up")
			for _, p := range victims {
				a.again(t, p)
				// What the hung one had been given is lost with it or is not, but what comes
				// now is answered.
				p.write(data(2, []byte("now?")))
				for f := p.expect(tData); f.channel != 2; f = p.expect(tData) {
				}
			}
			connected := 0
			gw.logged("the next connection to it", func(l string) bool {
				if strings.Contains(l, "upstream: connected") && strings.Contains(l, b.url) {
					connected++
				}
				return connected == 2
			})
			if c.greets {
				b.attached(t, 2)
			}
			for range 16 {
				p := join(t, gw)
				p.plays()
				require.False(t, a.announced(t, p).GetOpened().Again, "a new player was given to the backend that hangs")
			}
			other.undisturbed(t)
			release() // so that the gateway need not wait for it at its end
		})
	}
}

// numbered plays game logic that dies once, when it is given the message "10":
// after it was handed over, before it was answered.
func numbered(acknowledges bool) (*atomic.Bool, func(*stream, *straitv1.GatewayBatch) *straitv1.LogicBatch) {
	died := new(atomic.Bool)
	var batches atomic.Uint64
	return died, func(s *stream, in *straitv1.GatewayBatch) *straitv1.LogicBatch {
		if in.Hello != nil {
			batches.Store(0)
		}
		number := batches.Add(1)
		for _, e := range in.Events {
			if m := e.GetMessage(); m != nil && string(m.Payload) == "10" && died.CompareAndSwap(false, true) {
				_ = s.write([]byte{0, 0, 9, 9, 0x12}) // the beginning of an answer
				s.cut()
				return nil
			}
		}
		out := echo(s, in)
		if acknowledges {
			if out == nil {
				out = new(straitv1.LogicBatch)
			}
			out.Acked = number
		}
		return out
	}
}

// playNumbers sends "1" to "30" to game logic that dies at "10", and returns what it
// was given of them before and after its death.
func playNumbers(t *testing.T, acknowledges bool) (before, after []int) {
	died, play := numbered(acknowledges)
	game := listenLogic(t, playing(play))
	gw := serve(t, game.env()...)
	p := join(t, gw)
	for i := 1; i < 10; i++ {
		p.write(data(0, []byte(strconv.Itoa(i))))
		p.expectData(0, []byte(strconv.Itoa(i)))
	}
	for i := 10; i <= 20; i++ {
		p.write(data(0, []byte(strconv.Itoa(i))))
	}
	game.again(t, p)
	require.True(t, died.Load())
	for i := 21; i <= 30; i++ {
		p.write(data(0, []byte(strconv.Itoa(i))))
	}
	for {
		f := p.expect(tData)
		if string(f.payload) == "30" {
			break
		}
	}
	numbers := &before
	for _, e := range game.events.all() {
		if e.GetOpened() != nil && e.GetOpened().Again {
			numbers = &after
		}
		if m := e.GetMessage(); m != nil {
			n, err := strconv.Atoi(string(m.Payload))
			require.NoError(t, err)
			*numbers = append(*numbers, n)
		}
	}
	return before, after
}

// A backend that acknowledges gets what it did not acknowledge again, at least
// once and in order.
func TestDeathOfABackendThatAcknowledges(t *testing.T) {
	t.Parallel()
	before, after := playNumbers(t, true)
	require.NotEmpty(t, after)
	first := after[0]
	assert.LessOrEqual(t, first, 10, "what was not acknowledged comes again: %v then %v", before, after)
	assert.GreaterOrEqual(t, first, 9, "what was acknowledged does not: %v then %v", before, after)
	for i, n := range after {
		assert.Equal(t, first+i, n, "%v then %v", before, after)
	}
	assert.Equal(t, 30, after[len(after)-1])
}

// One that does not loses what was in flight: each message at most once.
func TestDeathOfABackendThatDoesNotAcknowledge(t *testing.T) {
	t.Parallel()
	before, after := playNumbers(t, false)
	all := append(before, after...)
	for i := 1; i < len(all); i++ {
		assert.Less(t, all[i-1], all[i], "twice or out of order: %v then %v", before, after)
	}
	for i := 21; i <= 30; i++ {
		assert.Contains(t, after, i, "what comes after Opened{again} arrives")
	}
}

// A backend that stops reading has its players' reliable messages wait with them,
// and loses none when it goes on.
func TestBackendThatPauses(t *testing.T) { onBothPaths(t, testBackendThatPauses) }

func testBackendThatPauses(t *testing.T, path string) {
	pause, paused := make(chan struct{}), make(chan struct{})
	resume := sync.OnceFunc(func() { close(pause) })
	var once atomic.Bool
	// A Unix socket holds little by itself.
	game := listenUnix(t, socketPath(t), playing(func(s *stream, in *straitv1.GatewayBatch) *straitv1.LogicBatch {
		if len(in.Events) > 0 && in.Events[0].GetMessage() != nil && once.CompareAndSwap(false, true) {
			close(paused)
			<-pause
		}
		return echo(s, in)
	}))
	t.Cleanup(resume)
	gw := serve(t, game.env(path, "STRAIT_SEND_BUFFER_BYTES=67108864")...)
	players := []*player{join(t, gw), join(t, gw), join(t, gw)}
	const n = 150
	body := strings.Repeat("x", 20000)
	var playing sync.WaitGroup
	for _, p := range players {
		playing.Go(func() {
			for i := range n {
				_, err := p.conn.Write(data(0, fmt.Appendf(nil, "%06d%s", i, body)))
				assert.NoError(t, err)
			}
		})
		playing.Go(func() {
			for i := range n {
				f, err := p.next()
				if !assert.NoError(t, err) || !assert.Equal(t, fmt.Sprintf("%06d", i), string(f.payload[:6])) {
					return
				}
			}
		})
	}
	<-paused
	queued := fmt.Sprintf("strait_upstream_queued_bytes{backend=%q,stream=%q}", game.url, "0")
	gw.reaches(queued, 256<<10)
	assert.Less(t, gw.metric("strait_buffer_bytes"), float64(8<<20), "bytes that wait for a backend")
	assert.NotZero(t, gw.metric(strings.Replace(queued, "queued_bytes", "lag_seconds", 1)))
	resume()
	playing.Wait()
	assert.Equal(t, 1, game.streams.count(func(*stream) bool { return true }), "the stream goes on")
}
