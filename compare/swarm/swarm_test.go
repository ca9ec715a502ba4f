package swarm_test

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"strait/client"
	"strait/client/clienttest"
	"strait/compare/swarm"
	"strait/proto/straitv1"
	"strait/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func gateway(t *testing.T, c clienttest.Config) *clienttest.Gateway {
	t.Helper()
	g, err := clienttest.New(c)
	require.NoError(t, err)
	t.Cleanup(func() { _ = g.Close() })
	return g
}

// patience is how long what must happen may take.
const patience = 20 * time.Second

// small is a run of well below a second.
func small(g *clienttest.Gateway) swarm.Config {
	return swarm.Config{
		Addr: g.Addr(), Options: client.Options{Pin: g.Pin(), Transport: client.TCP},
		Clients: 10, Ramp: 20 * time.Millisecond, Duration: 300 * time.Millisecond,
		Inputs: swarm.Flow{Rate: 50, Size: 64}, Chat: swarm.Flow{Rate: 20, Size: 200, Channel: 1},
		Seed: 1, Interval: 20 * time.Millisecond,
	}
}

func run(t *testing.T, c swarm.Config) *swarm.Report {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	r, err := swarm.Run(ctx, c)
	require.NoError(t, err)
	require.False(t, r.Interrupted)
	return r
}

func TestEveryMessageIsEchoedAndMeasured(t *testing.T) {
	for _, by := range client.Transports {
		t.Run(by.String(), func(t *testing.T) {
			l, p, err := clienttest.Listen()
			require.NoError(t, err)
			g := gateway(t, clienttest.Config{Listener: l, PacketConn: p, UDP: true})
			c := small(g)
			c.Options.Transport = by
			c.Inputs.Rate = 1 / c.Duration.Seconds() // one each, which no newer one overtakes
			c.Wait = patience
			var phases []swarm.Phase
			var last swarm.Progress
			c.Progress = func(p swarm.Progress) {
				if len(phases) == 0 || phases[len(phases)-1] != p.Phase {
					phases = append(phases, p.Phase)
				}
				last = p
			}
			r := run(t, c)
			assert.Equal(t, 10, r.Opening.Opened)
			assert.EqualValues(t, 10, r.Opening.Time.Count)
			assert.Equal(t, map[string]int{by.String(): 10}, r.Transports)
			assert.Empty(t, r.Failures)
			assert.False(t, r.EndedEarly)
			require.Len(t, r.Flows, 2)
			for i, want := range []int{10, 60} {
				f := r.Flows[i]
				assert.EqualValues(t, want, f.Sent, f.Name)
				assert.EqualValues(t, want, f.Received, f.Name)
				assert.Zero(t, f.Lost+f.Duplicated+f.Disordered, f.Name)
				assert.EqualValues(t, want*f.Size, f.Bytes, f.Name)
				assert.EqualValues(t, want, f.Latency.Count, f.Name)
				assert.Positive(t, f.Latency.P50)
				assert.LessOrEqual(t, f.Latency.P50, f.Latency.P99)
			}
			assert.EqualValues(t, 70, r.Lag.Count)
			assert.Zero(t, r.Unsent)
			assert.Zero(t, r.Snapshots.Received)
			assert.GreaterOrEqual(t, r.Throughput.Seconds, 0.3)
			assert.Positive(t, r.Throughput.DownBytes)
			assert.Empty(t, swarm.Limits{MaxP99: time.Minute, MaxLoss: new(float64)}.Missed(r))
			assert.Equal(t, swarm.Done, last.Phase)
			assert.EqualValues(t, 70, last.Received)
			assert.Contains(t, phases, swarm.Loading)
		})
	}
}

func TestWhatGameLogicLosesRepeatsAndAddsIsCounted(t *testing.T) {
	var mu sync.Mutex
	count := map[*clienttest.Session]int{}
	g := gateway(t, clienttest.Config{Message: func(s *clienttest.Session, d transport.Delivery, channel uint8, payload []byte) {
		mu.Lock()
		defer mu.Unlock()
		count[s]++
		switch n := count[s]; {
		case n == 2: // lost
		case n == 4:
			s.Send(d, channel, payload)
			s.Send(d, channel, payload)
			s.Send(transport.Reliable, 9, []byte("the state of the world"))
		default:
			s.Send(d, channel, payload)
		}
	}})
	c := small(g)
	c.Inputs.Rate = 0
	c.Wait = 3 * time.Second // for those that are not lost
	r := run(t, c)
	require.Len(t, r.Flows, 1)
	chat := r.Flows[0]
	assert.Equal(t, "chat", chat.Name)
	assert.EqualValues(t, 60, chat.Sent)
	assert.EqualValues(t, 50, chat.Received)
	assert.EqualValues(t, 10, chat.Lost)
	assert.EqualValues(t, 10, chat.Duplicated)
	assert.EqualValues(t, 10, r.Snapshots.Received)
	assert.EqualValues(t, 220, r.Snapshots.Bytes)
	most := 0.01
	assert.Equal(t, []string{"chat: the loss of 16.67 % (10 of 60) is above 1 %"}, swarm.Limits{MaxLoss: &most}.Missed(r))
}

func TestGameLogicThatDoesNotEcho(t *testing.T) {
	g := gateway(t, clienttest.Config{Message: func(s *clienttest.Session, _ transport.Delivery, _ uint8, _ []byte) {
		s.Send(transport.Reliable, 0, []byte("so what"))
	}})
	c := small(g)
	c.Wait = time.Second
	r := run(t, c)
	assert.Equal(t, r.Flows[0].Sent, r.Flows[0].Lost)
	assert.Zero(t, r.Flows[0].Latency)
	assert.Positive(t, r.Snapshots.Received)
}

// A stall of the gateway is in the latency of every message that was due meanwhile,
// not only in that of the one that met it.
func TestAStallIsNotOmitted(t *testing.T) {
	var once sync.Once
	g := gateway(t, clienttest.Config{Message: func(s *clienttest.Session, d transport.Delivery, channel uint8, payload []byte) {
		once.Do(func() { <-time.After(200 * time.Millisecond) })
		s.Send(d, channel, payload)
	}})
	c := small(g)
	c.Clients, c.Inputs.Rate, c.Chat.Rate, c.Duration, c.Wait = 1, 0, 200, 400*time.Millisecond, patience
	r := run(t, c)
	chat := r.Flows[0]
	assert.EqualValues(t, 80, chat.Sent)
	assert.Zero(t, chat.Lost)
	assert.Greater(t, chat.Latency.P90, 100_000.0)
	assert.Greater(t, chat.Latency.Max, 150_000.0)
	// 40 were due in the stall, in the mean 100 ms before it was over.
	assert.Greater(t, chat.Histogram.Mean(), 30.0)
}

func TestAnUnreachableGatewayFailsAtOnce(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	c := swarm.Config{Addr: l.Addr().String(), Options: client.Options{Transport: client.TCP}, Clients: 1000, Ramp: time.Hour / 100}
	began := time.Now()
	_, err = swarm.Run(context.Background(), c)
	var dial *client.DialError
	require.ErrorAs(t, err, &dial)
	assert.ErrorContains(t, err, "the first 8 clients could not open a session")
	assert.ErrorContains(t, err, "is the gateway running")
	assert.Less(t, time.Since(began), 20*time.Second)

	c.Clients = 2
	c.Ramp = time.Millisecond
	_, err = swarm.Run(context.Background(), c)
	assert.ErrorContains(t, err, "the first 2 clients could not open")
}

func TestClientsThatAreRefusedAreCounted(t *testing.T) {
	var asked atomic.Int32
	g := gateway(t, clienttest.Config{Hello: func(*straitv1.ClientHello, *straitv1.ServerHello) error {
		if asked.Add(1)%2 == 0 {
			return transport.Reason{Code: transport.Overloaded}
		}
		return nil
	}})
	r := run(t, small(g))
	assert.Equal(t, 5, r.Opening.Opened)
	assert.Equal(t, 5, r.Opening.Failed)
	require.Len(t, r.Failures, 1)
	assert.Equal(t, "tcp hello: closed by the gateway: OVERLOADED", r.Failures[0].Reason)
	assert.Equal(t, 5, r.Failures[0].Count)
	assert.EqualValues(t, 5*6, r.Flows[1].Sent, "the others play on")
	assert.Equal(t, []string{"5 of 10 clients could not open a session"}, swarm.Limits{}.Missed(r))
}

// loaded returns a channel that is closed when messages have come back.
func loaded(c *swarm.Config) <-chan struct{} {
	started := make(chan struct{})
	var once sync.Once
	c.Progress = func(p swarm.Progress) {
		if p.Received > 0 {
			once.Do(func() { close(started) })
		}
	}
	return started
}

func TestARunEndsWithTheLastClient(t *testing.T) {
	g := gateway(t, clienttest.Config{})
	c := small(g)
	c.Duration = time.Hour
	started := loaded(&c)
	go func() {
		<-started
		_ = g.Close()
	}()
	r := run(t, c)
	assert.True(t, r.EndedEarly)
	require.Len(t, r.Failures, 1)
	assert.Equal(t, "ended", r.Failures[0].What)
	assert.Equal(t, "connection lost", r.Failures[0].Reason)
	assert.Equal(t, 10, r.Failures[0].Count)
	assert.Equal(t, []string{"10 of 10 sessions ended before the run did"}, swarm.Limits{}.Missed(r))
}

func TestARunGoesOnWithTheClientsThatAreLeft(t *testing.T) {
	var kicked sync.Once
	g := gateway(t, clienttest.Config{Opened: func(s *clienttest.Session) {
		kicked.Do(func() { s.Close(transport.Because(transport.Kicked, "you are out")) })
	}})
	c := small(g)
	c.Wait = patience
	r := run(t, c)
	assert.False(t, r.EndedEarly)
	require.Len(t, r.Failures, 1)
	assert.Equal(t, swarm.Failure{What: "ended", Reason: "closed by the gateway: KICKED", Count: 1, Example: r.Failures[0].Example}, r.Failures[0])
	assert.Contains(t, r.Failures[0].Example, "you are out")
	assert.GreaterOrEqual(t, r.Flows[1].Received, uint64(9*6))
}

func TestClientsComeBackWhenTheRunKeepsGoing(t *testing.T) {
	var cut sync.Once
	g := gateway(t, clienttest.Config{Message: func(s *clienttest.Session, d transport.Delivery, channel uint8, payload []byte) {
		cut.Do(s.Cut)
		s.Send(d, channel, payload)
	}})
	c := small(g)
	c.KeepGoing = true
	c.Duration = 3 * time.Second
	c.Wait = 50 * time.Millisecond
	c.Options.Reconnect = client.Reconnect{Min: 5 * time.Millisecond, Max: 20 * time.Millisecond}
	var least, live atomic.Int64
	least.Store(10)
	c.Progress = func(p swarm.Progress) {
		if p.Phase == swarm.Loading {
			live.Store(int64(p.Live))
			least.Store(min(least.Load(), int64(p.Live)))
		}
	}
	r := run(t, c)
	require.Len(t, r.Failures, 1)
	assert.Equal(t, "ended", r.Failures[0].What)
	assert.Equal(t, 1, r.Failures[0].Count)
	assert.EqualValues(t, 1, r.Client.Reopened)
	assert.EqualValues(t, 10, live.Load(), "all live again")
	assert.EqualValues(t, 600, r.Flows[1].Sent, "also while there was no session")
	assert.Empty(t, swarm.Limits{Failures: true}.Missed(r))
}

func TestARunThatKeepsGoingOutlivesTheGateway(t *testing.T) {
	g := gateway(t, clienttest.Config{})
	c := small(g)
	c.KeepGoing = true
	c.Duration = 3 * time.Second
	c.Wait = 50 * time.Millisecond
	started := loaded(&c)
	go func() {
		<-started
		_ = g.Close()
	}()
	began := time.Now()
	r := run(t, c)
	assert.GreaterOrEqual(t, time.Since(began), c.Duration)
	assert.False(t, r.EndedEarly)
	assert.EqualValues(t, 10*60, r.Flows[1].Sent)
	assert.Positive(t, r.Flows[1].Lost)
	ended := 0
	for _, f := range r.Failures {
		if f.What == "ended" {
			ended += f.Count
		}
	}
	assert.Equal(t, 10, ended)
}

func TestAnInterruptedRunReports(t *testing.T) {
	g := gateway(t, clienttest.Config{})
	c := small(g)
	c.Duration = time.Hour
	started := loaded(&c)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-started
		cancel()
	}()
	r, err := swarm.Run(ctx, c)
	require.NoError(t, err)
	assert.True(t, r.Interrupted)
	assert.Positive(t, r.Flows[1].Received)
	assert.Empty(t, r.Failures)

	// While clients open, and before.
	c = small(g)
	c.Ramp = time.Hour
	ctx, cancel = context.WithCancel(context.Background())
	c.Progress = func(p swarm.Progress) {
		if p.Opened > 0 {
			cancel()
		}
	}
	r, err = swarm.Run(ctx, c)
	require.NoError(t, err)
	assert.True(t, r.Interrupted)
	assert.Equal(t, 1, r.Opening.Opened)
	assert.Zero(t, r.Flows[1].Sent)
	r, err = swarm.Run(ctx, c)
	require.NoError(t, err)
	assert.Zero(t, r.Opening.Opened)
}

func TestMessagesThatAreTooLargeAreRefusedBeforeTheLoad(t *testing.T) {
	g := gateway(t, clienttest.Config{})
	c := small(g)
	c.Inputs.Size = 1101
	_, err := swarm.Run(context.Background(), c)
	assert.EqualError(t, err, "inputs of 1101 bytes are too large: over tcp this gateway takes unreliable messages of at most 1100 bytes")
	c.Inputs.Rate = 0
	c.Chat.Rate = 1
	c.Chat.Size = 65_533
	_, err = swarm.Run(context.Background(), c)
	assert.NoError(t, err)
}

func TestIdleSessionsAreHeld(t *testing.T) {
	g := gateway(t, clienttest.Config{})
	c := small(g)
	c.Inputs.Rate, c.Chat.Rate, c.Duration = 0, 0, 50*time.Millisecond
	r := run(t, c)
	assert.Empty(t, r.Flows)
	assert.Equal(t, 10, r.Opening.Opened)
	assert.GreaterOrEqual(t, r.Throughput.Seconds, 0.05)
}

// A gateway that takes nothing any more does not keep the run from its end.
func TestAStalledGatewayDoesNotHoldTheRunUp(t *testing.T) {
	release := make(chan struct{})
	g := gateway(t, clienttest.Config{Message: func(*clienttest.Session, transport.Delivery, uint8, []byte) { <-release }})
	t.Cleanup(func() { close(release) })
	c := small(g)
	c.Options.SendBufferBytes = 1 // one message waits, the next one blocks
	c.Chat = swarm.Flow{Rate: 100, Size: 60_000}
	c.Inputs.Rate = 0
	c.Wait = 50 * time.Millisecond
	began := time.Now()
	r := run(t, c)
	assert.Less(t, time.Since(began), 15*time.Second)
	assert.EqualValues(t, 10*30, r.Flows[0].Sent+r.Unsent, "what was due and found no room counts")
	assert.Equal(t, r.Flows[0].Sent, r.Flows[0].Lost)
}
