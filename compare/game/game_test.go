package game_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/compare/game"
	"strait/compare/measure"
	"strait/transport"
)

// link is a session in memory: everything takes delay, and every tenth unreliable
// message of each direction is lost.
type link struct {
	logic *game.Logic
	delay atomic.Int64
	close atomic.Int64 // how long Close takes
	down  chan game.Message
	gone  chan struct{}
	once  sync.Once

	mu       sync.Mutex
	up, back int
}

func (l *link) drops(n *int, d transport.Delivery) bool {
	if d == transport.Reliable {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	*n++
	return *n%10 == 0
}

func (l *link) Send(_ context.Context, d transport.Delivery, _ uint8, payload []byte) error {
	select {
	case <-l.gone:
		return net.ErrClosed
	default:
	}
	if !l.drops(&l.up, d) {
		b := append([]byte(nil), payload...)
		time.AfterFunc(time.Duration(l.delay.Load()), func() { l.logic.Message((*server)(l), b) })
	}
	return nil
}

func (l *link) Receive(ctx context.Context) (game.Message, error) {
	select {
	case m := <-l.down:
		return m, nil
	case <-l.gone:
		return game.Message{}, net.ErrClosed
	case <-ctx.Done():
		return game.Message{}, ctx.Err()
	}
}

func (l *link) Close() error {
	l.once.Do(func() {
		close(l.gone)
		l.logic.Closed((*server)(l))
		time.Sleep(time.Duration(l.close.Load()))
	})
	return nil
}

// server is game logic's end of the link.
type server link

func (s *server) Send(d transport.Delivery, channel uint8, payload []byte) error {
	l := (*link)(s)
	if !l.drops(&l.back, d) {
		m := game.Message{Delivery: d, Channel: channel, Payload: append([]byte(nil), payload...)}
		time.AfterFunc(time.Duration(l.delay.Load()), func() { l.down <- m })
	}
	return nil
}

func (*server) Flush() {}

const delay = 20 * time.Millisecond

func dialer(logic *game.Logic, first *atomic.Pointer[link]) game.Dial {
	return func(ctx context.Context) (game.Conn, error) {
		time.Sleep(delay)
		l := &link{logic: logic, down: make(chan game.Message, 4096), gone: make(chan struct{})}
		l.delay.Store(int64(delay))
		first.CompareAndSwap(nil, l)
		return l, nil
	}
}

// play runs a player for ten seconds and returns the run's figures; at, if not 0, is
// when during does something.
func play(t *testing.T, at time.Duration, during func(*link)) (*measure.Run, measure.PlayerLog) {
	t.Helper()
	clock := game.NewClock()
	logic, err := game.NewLogic(game.Workload{}, clock, 1)
	require.NoError(t, err)
	var first atomic.Pointer[link]
	begin := clock.Now()
	until := begin + int64(10*time.Second)
	var running sync.WaitGroup
	running.Go(func() { logic.Run(t.Context(), until) })
	if during != nil {
		running.Go(func() { time.Sleep(at); during(first.Load()) })
	}
	log := game.Player{Number: 7, Clock: clock, Dial: dialer(logic, &first)}.Play(t.Context(), until)
	running.Wait()
	theirs, _ := logic.Logs()
	require.Len(t, theirs, 1)
	joined, err := measure.Join(log, theirs[0])
	require.NoError(t, err)
	run, err := measure.Take(game.Workload{}.Flows(), []measure.PlayerLog{joined}, measure.Window{From: begin + 1e9, To: until}, nil)
	require.NoError(t, err)
	return run, log
}

// What a link is known to do to messages is what the figures say.
func TestFiguresOfAKnownLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run, log := play(t, 0, nil)
		require.Empty(t, log.Failure)
		assert.Zero(t, log.Reconnects)
		assert.InDelta(t, 20, run.Open.Mean(), 0.1)
		require.Len(t, run.Flows, 6)
		for i, perSecond := range []int{60, 30, 5, 5, 5, 5} {
			f := &run.Flows[i]
			assert.InDelta(t, 9*perSecond, f.Sent, 1, f.Name)
			assert.InDelta(t, 20, f.Latency.Quantile(0.01), 0.1, f.Name)
			assert.InDelta(t, 20, f.Latency.Max(), 0.1, f.Name)
			assert.Zero(t, f.Refused, f.Name)
			assert.Zero(t, f.Duplicates, f.Name)
			assert.Zero(t, f.OutOfOrder, f.Name)
			if f.Reliable {
				assert.Zero(t, f.Lost(), f.Name)
			} else {
				assert.InDelta(t, 0.1, float64(f.Lost())/float64(f.Sent), 0.005, f.Name)
			}
		}
		// A frame sees a state of 20 ms to 20 ms and a snapshot's period, or two where
		// one was lost.
		assert.InDelta(t, 36, run.Age.Readings.Quantile(0.5), 17)
		assert.InDelta(t, 86, run.Age.Readings.Max(), 17)
		assert.Zero(t, run.Age.StaleReadings)
		assert.Less(t, run.Late.Max(), 0.01)
	})
}

// A connection that goes silent is given up, and the game continues on the next one
// with no reliable message lost that was due meanwhile. The next one does not wait for
// a peer that would have to agree to the end of the first.
func TestASilentConnectionIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run, log := play(t, 4*time.Second, func(l *link) {
			l.delay.Store(int64(time.Hour))
			l.close.Store(int64(2 * time.Second))
		})
		require.Empty(t, log.Failure)
		assert.Equal(t, 1, log.Reconnects)
		assert.Equal(t, 1, run.Reconnects)
		assert.InDelta(t, 3050, run.Age.Readings.Max(), 100)
		gap := time.Duration(run.Flows[1].LongestGap)
		assert.InDelta(t, float64(3*time.Second), float64(gap), float64(150*time.Millisecond))
	})
}

// A connection that ends is replaced at once. Reliable messages that were due in
// between are sent then, late by as much.
func TestAClosedConnectionIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run, log := play(t, 4*time.Second, func(l *link) { _ = l.Close() })
		require.Empty(t, log.Failure)
		assert.Equal(t, 1, log.Reconnects)
		assert.Less(t, run.Age.Readings.Max(), 200.0)
		for _, f := range run.Flows {
			if f.Reliable {
				assert.LessOrEqual(t, f.Lost(), uint64(1), f.Name) // what was on its way
			}
		}
	})
}

func TestNobodyAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := game.NewClock()
		refused := func(context.Context) (game.Conn, error) { return nil, errors.New("no route") }
		log := game.Player{Clock: clock, Dial: refused}.Play(t.Context(), clock.Now()+1e9)
		assert.Equal(t, "could not connect: no route", log.Failure)
		assert.Zero(t, log.Opened)
		late := game.Player{Clock: clock, Dial: refused}.Play(t.Context(), clock.Now()-5e9)
		assert.Contains(t, late.Failure, "over")
	})
}

func TestLogicIgnoresWhatIsNotTheGame(t *testing.T) {
	logic, err := game.NewLogic(game.Workload{}, game.NewClock(), 1)
	require.NoError(t, err)
	l := &link{logic: logic}
	for _, b := range [][]byte{nil, make([]byte, 19), {0: 6, 19: 0}, {0: 1, 19: 0}, {0: 0, 1: 1, 19: 0}} {
		logic.Message((*server)(l), b)
	}
	logs, _ := logic.Logs()
	assert.Empty(t, logs)
	good := make([]byte, 20)
	logic.Message((*server)(l), good)
	good[4] = 1 // a second player, where there is room for one
	logic.Message((*server)(l), good)
	logs, _ = logic.Logs()
	assert.Len(t, logs, 1)
}

func TestWorkloadValidate(t *testing.T) {
	require.NoError(t, game.Workload{}.Validate())
	assert.ErrorContains(t, game.Workload{InputBytes: 8}.Validate(), "InputBytes 8 is not between 20 and 1100")
	assert.ErrorContains(t, game.Workload{EventRate: -1}.Validate(), "EventRate -1")
	_, err := game.NewLogic(game.Workload{SnapshotBytes: 5000}, game.NewClock(), 1)
	require.ErrorContains(t, err, "SnapshotBytes")
	_, err = game.NewLogic(game.Workload{}, game.NewClock(), 0)
	require.Error(t, err)
}
