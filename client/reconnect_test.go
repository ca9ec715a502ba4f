package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/client"
	"strait/client/clienttest"
	"strait/proto/straitv1"
	"strait/proto/wire"
	"strait/transport"
)

// firstSession acts on the first session alone.
func firstSession(act func(*clienttest.Session)) func(*clienttest.Session) {
	var count atomic.Int32
	return func(s *clienttest.Session) {
		if count.Add(1) == 1 {
			act(s)
		}
	}
}

func TestCloseCodesDecideWhetherTheClientComesBack(t *testing.T) {
	const retry = 3 * time.Second
	for _, c := range []struct {
		code       transport.Code
		back, asks bool // comes back unasked, and with retry_after_ms
	}{
		{transport.Normal, false, false},
		{transport.ProtocolError, false, false},
		{transport.Version, false, false},
		{transport.AuthFailed, false, false},
		{transport.Idle, true, true},
		{transport.Timeout, true, true},
		{transport.Overloaded, true, true},
		{transport.Draining, true, true},
		{transport.Kicked, false, false},
		{transport.Superseded, false, false},
		{transport.TooSlow, true, true},
		{transport.TooBig, false, false},
		{transport.UpstreamLost, true, true},
		{transport.RateLimited, false, true},
		{transport.Internal, true, true},
		{transport.Code(999), false, true},
	} {
		for _, after := range []time.Duration{0, retry} {
			t.Run(fmt.Sprintf("%v/%v", c.code, after), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					seen := watch()
					_, cl := simulated(t, clienttest.Config{
						Opened: firstSession(func(s *clienttest.Session) {
							s.Close(transport.Reason{Code: c.code, Text: "because", RetryAfter: after})
						}),
					}, client.Options{OnState: seen.on})
					first := seen.next(t, client.Opened).Session
					back := c.back
					if after > 0 {
						back = c.asks
					}
					if !back {
						end := seen.next(t, client.Closed)
						for _, err := range []error{end.Err, cl.Err()} {
							require.ErrorIs(t, err, c.code)
							require.ErrorIs(t, err, net.ErrClosed)
							require.ErrorContains(t, err, "because")
						}
						<-cl.Done()
						return
					}
					lost := seen.next(t, client.Lost)
					require.ErrorIs(t, lost.Err, c.code)
					require.Equal(t, first, lost.Session)
					start := time.Now()
					again := seen.next(t, client.Reconnecting)
					require.Equal(t, 1, again.Attempt)
					require.ErrorIs(t, again.Err, c.code)
					require.GreaterOrEqual(t, again.Delay, after)
					require.Less(t, again.Delay, after+250*time.Millisecond)
					reopened := seen.next(t, client.Reopened)
					require.Equal(t, again.Delay, time.Since(start))
					require.NotEqual(t, first, reopened.Session)
					require.Equal(t, reopened.Session, cl.Session())
					require.NoError(t, cl.Err())
					require.EqualValues(t, 1, cl.Info().Counters.Reopened)
				})
			})
		}
	}
}

func TestReconnectOffEndsTheClientWithItsSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := simulated(t, clienttest.Config{Opened: (*clienttest.Session).Cut},
			client.Options{Reconnect: client.Reconnect{Off: true}})
		<-c.Done()
		var r transport.Reason
		require.ErrorAs(t, c.Err(), &r)
		assert.True(t, r.Lost)
		assert.NotErrorIs(t, c.Err(), transport.Normal)
	})
}

func TestBackoffGrowsWithFullJitter(t *testing.T) {
	limits := []time.Duration{250, 500, 1000, 2000, 4000, 8000, 15000, 15000, 15000}
	for i, limit := range limits {
		limit *= time.Millisecond
		var low, high int
		for range 1000 {
			d := client.Reconnect{}.Backoff(i+1, time.Second) - time.Second
			require.GreaterOrEqual(t, d, time.Duration(0))
			require.Less(t, d, limit)
			if d < limit/4 {
				low++
			}
			if d > limit*3/4 {
				high++
			}
		}
		// 250 each are expected; 100 is more than ten standard deviations away.
		assert.Greater(t, low, 100, "attempt %d", i+1)
		assert.Greater(t, high, 100, "attempt %d", i+1)
	}
	huge := client.Reconnect{Min: time.Hour, Max: 1<<63 - 1}
	assert.Positive(t, huge.Backoff(1000, 0))
}

func TestAttemptsAreCountedUntilASessionLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := watch()
		var sessions atomic.Int32
		network, c := simulated(t, clienttest.Config{Opened: func(s *clienttest.Session) {
			switch sessions.Add(1) {
			case 1:
				s.Cut()
			case 2: // too short to count
				time.Sleep(time.Second)
				s.Cut()
			case 3:
				time.Sleep(20 * time.Second)
				s.Cut()
			}
		}}, client.Options{OnState: seen.on})
		seen.next(t, client.Opened)
		for _, attempt := range []int{1, 2, 1} {
			assert.True(t, isLost(seen.next(t, client.Lost).Err))
			assert.Equal(t, attempt, seen.next(t, client.Reconnecting).Attempt)
			seen.next(t, client.Reopened)
		}
		assert.Len(t, network.addrs(), 4)
		require.NoError(t, c.Close())
		seen.next(t, client.Closed)
	})
}

func isLost(err error) bool {
	var r transport.Reason
	return errors.As(err, &r) && r.Lost
}

func TestMaxAttemptsEndsTheClientWithTheLastFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cut := make(chan struct{})
		network, c := simulated(t, clienttest.Config{Opened: func(s *clienttest.Session) { <-cut; s.Cut() }},
			client.Options{Reconnect: client.Reconnect{MaxAttempts: 3}})
		network.refusing(syscall.ECONNREFUSED)
		close(cut)
		<-c.Done()
		var gaveUp *client.ReconnectError
		require.ErrorAs(t, c.Err(), &gaveUp)
		assert.Equal(t, 3, gaveUp.Attempts)
		assert.True(t, gaveUp.After.Lost)
		assert.ErrorIs(t, c.Err(), syscall.ECONNREFUSED)
		assert.ErrorIs(t, c.Err(), net.ErrClosed)
		assert.ErrorContains(t, c.Err(), "after 3 attempts")
		_, err := c.Receive(t.Context())
		assert.Equal(t, c.Err(), err)
		assert.Len(t, network.addrs(), 4)
	})
}

func TestARefusalThatIsFinalEndsReconnecting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hellos atomic.Int32
		_, c := simulated(t, clienttest.Config{
			Opened: (*clienttest.Session).Cut,
			Hello: func(*straitv1.ClientHello, *straitv1.ServerHello) error {
				switch hellos.Add(1) {
				case 1:
					return nil
				case 2:
					return transport.Reason{Code: transport.Overloaded, Text: "full", RetryAfter: time.Minute}
				}
				return transport.Because(transport.AuthFailed, "expired")
			},
		}, client.Options{})
		start := time.Now()
		<-c.Done()
		assert.GreaterOrEqual(t, time.Since(start), time.Minute)
		assert.ErrorIs(t, c.Err(), transport.AuthFailed)
		assert.ErrorContains(t, c.Err(), "expired")
		assert.EqualValues(t, 3, hellos.Load())
	})
}

func TestAnotherCertificateEndsReconnecting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := newMemory()
		g := startGateway(t, clienttest.Config{Listener: network})
		other := newMemory()
		imposter := startGateway(t, clienttest.Config{Listener: other})
		var dials atomic.Int32
		c, err := client.Dial(t.Context(), "gateway", client.Options{
			Pin: g.Pin(),
			DialContext: func(ctx context.Context, n, addr string) (net.Conn, error) {
				if dials.Add(1) > 1 {
					return other.Dial(ctx, n, addr)
				}
				return network.Dial(ctx, n, addr)
			},
		})
		require.NoError(t, err)
		defer c.Close()
		_ = g.Close()
		<-c.Done()
		var verify *client.VerifyError
		require.ErrorAs(t, c.Err(), &verify)
		assert.Equal(t, imposter.Pin(), verify.Fingerprint)
		assert.True(t, verify.Pinned)
		assert.EqualValues(t, 2, dials.Load())
	})
}

func TestSendAndReceiveGoOnInTheNextSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := watch()
		cut := make(chan struct{})
		network, c := simulated(t, clienttest.Config{
			Opened: firstSession(func(s *clienttest.Session) { <-cut; s.Cut() }),
		}, client.Options{OnState: seen.on})
		network.refusing(syscall.ENETUNREACH)
		close(cut)
		seen.next(t, client.Opened)
		seen.next(t, client.Lost)

		// No session: an unreliable message is dropped, a reliable one and a ping wait.
		require.NoError(t, c.Send(t.Context(), client.Unreliable, 0, []byte("gone")))
		assert.EqualValues(t, 1, c.Info().Counters.SendDropped)
		short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		require.ErrorIs(t, c.Send(short, client.Reliable, 0, nil), context.DeadlineExceeded)
		_, err := c.Ping(short)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		sent, pinged := make(chan error, 1), make(chan error, 1)
		go func() { sent <- c.Send(t.Context(), client.Reliable, 0, []byte("later")) }()
		go func() { _, err := c.Ping(t.Context()); pinged <- err }()
		time.Sleep(30 * time.Second)
		synctest.Wait()
		assert.Empty(t, sent)
		assert.Empty(t, pinged)

		network.refusing(nil)
		require.NoError(t, <-sent)
		require.NoError(t, <-pinged)
		m, err := c.Receive(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "later", string(m.Payload))
	})
}

func TestStateSequencesStartAgainInEachSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sessions atomic.Int32
		_, c := simulated(t, clienttest.Config{Message: func(s *clienttest.Session, d transport.Delivery, ch uint8, b []byte) {
			s.Send(d, ch, b)
			if string(b) == "cut" {
				s.Close(transport.Reason{Code: transport.Internal})
			}
		}, Opened: func(*clienttest.Session) { sessions.Add(1) }}, client.Options{})
		for _, text := range []string{"one", "two", "cut"} {
			require.NoError(t, c.Send(t.Context(), client.Unreliable, 5, []byte(text)))
			m, err := c.Receive(t.Context())
			require.NoError(t, err)
			assert.Equal(t, text, string(m.Payload))
		}
		synctest.Wait()
		time.Sleep(time.Second)
		synctest.Wait()
		require.EqualValues(t, 2, sessions.Load())
		require.NoError(t, c.Send(t.Context(), client.Unreliable, 5, []byte("new")))
		m, err := c.Receive(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "new", string(m.Payload))
		assert.Zero(t, m.Sequence)
		assert.Zero(t, c.Info().Counters.Stale)
	})
}

func TestGoAwayIsToldAndItsRedirectIsTriedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := watch()
		elsewhere := errors.New("nobody there")
		network := newMemory()
		g := startGateway(t, clienttest.Config{Listener: network, Opened: firstSession(func(s *clienttest.Session) {
			s.GoAway(transport.Draining, 10*time.Second, "other.example:99")
			time.Sleep(10 * time.Second)
			s.Close(transport.Reason{Code: transport.Draining})
		})})
		c, err := client.Dial(t.Context(), "gateway", client.Options{
			Pin: g.Pin(), OnState: seen.on,
			DialContext: func(ctx context.Context, n, addr string) (net.Conn, error) {
				if addr == "other.example:99" {
					return nil, elsewhere
				}
				require.Equal(t, "gateway:7777", addr)
				return network.Dial(ctx, n, addr)
			},
		})
		require.NoError(t, err)
		defer c.Close()
		start := time.Now()
		seen.next(t, client.Opened)
		away := seen.next(t, client.GoingAway)
		assert.Equal(t, "other.example:99", away.Redirect)
		assert.Equal(t, 10*time.Second, away.Deadline)
		assert.ErrorIs(t, away.Err, transport.Draining)
		assert.Equal(t, c.Session(), away.Session)
		// The session goes on until the gateway closes it.
		require.NoError(t, c.Send(t.Context(), client.Reliable, 0, []byte("still here")))
		_, err = c.Receive(t.Context())
		require.NoError(t, err)
		assert.ErrorIs(t, seen.next(t, client.Lost).Err, transport.Draining)
		assert.Equal(t, 10*time.Second, time.Since(start))
		assert.Equal(t, 1, seen.next(t, client.Reconnecting).Attempt)
		second := seen.next(t, client.Reconnecting)
		assert.ErrorIs(t, second.Err, elsewhere)
		seen.next(t, client.Reopened)
	})
}

func TestARedirectThatIsNoAddressIsPassedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := watch()
		network, _ := simulated(t, clienttest.Config{Opened: firstSession(func(s *clienttest.Session) {
			s.GoAway(transport.Draining, 0, "what:is:this")
			s.Close(transport.Reason{Code: transport.Draining})
		})}, client.Options{OnState: seen.on})
		for _, k := range []client.StateKind{client.Opened, client.GoingAway, client.Lost, client.Reconnecting, client.Reopened} {
			seen.next(t, k)
		}
		assert.Equal(t, []string{"gateway:1", "gateway:1"}, network.addrs())
	})
}

func TestKeepalivePingsHoldAQuietSessionOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pings atomic.Int32
		_, c := simulated(t, clienttest.Config{Raw: helloThen(func(conn rawConn) {
			for {
				h, b, err := conn.frame()
				if err != nil {
					return
				}
				if h.Type == wire.Ping {
					pings.Add(1)
					_, _ = conn.Write(wire.AppendPong(nil, [8]byte(b), 0))
				}
			}
		})}, client.Options{})
		time.Sleep(time.Minute + time.Second)
		synctest.Wait()
		assert.EqualValues(t, 6, pings.Load(), "one every third of 30 s")
		assert.NoError(t, c.Err())
		c2 := make(chan error, 1)
		go func() { c2 <- c.Close() }()
		require.NoError(t, <-c2)
	})
}

func TestASilentGatewayIsALostConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pings atomic.Int32
		_, c := simulated(t, clienttest.Config{Raw: helloThen(func(conn rawConn) {
			for {
				h, _, err := conn.frame()
				if err != nil {
					return
				}
				if h.Type == wire.Ping {
					pings.Add(1)
				}
			}
		})}, client.Options{Reconnect: client.Reconnect{Off: true}})
		start := time.Now()
		<-c.Done()
		assert.InDelta(t, 40, time.Since(start).Seconds(), 1, "the first look after 30 s of silence")
		assert.ErrorIs(t, c.Err(), transport.Idle)
		assert.True(t, isLost(c.Err()))
		assert.ErrorContains(t, c.Err(), "nothing was heard")
		assert.Positive(t, pings.Load())
	})
}

func TestAnUnreadSessionIsNeitherKeptAliveNorGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pings atomic.Int32
		release := make(chan struct{})
		_, c := simulated(t, clienttest.Config{Raw: helloThen(func(conn rawConn) {
			go func() {
				for range 3 {
					conn.send(wire.Data, 0, make([]byte, 1000))
				}
				<-release
				_, _ = conn.Write(wire.AppendClose(nil, uint32(transport.TooSlow), "read more", 0))
			}()
			for {
				h, _, err := conn.frame()
				if err != nil {
					return
				}
				if h.Type == wire.Ping {
					pings.Add(1)
				}
			}
		})}, client.Options{ReceiveBufferBytes: 1000, Reconnect: client.Reconnect{Off: true}})
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		assert.Zero(t, pings.Load())
		assert.NoError(t, c.Err())
		close(release)
		for range 3 {
			_, err := c.Receive(t.Context())
			require.NoError(t, err)
		}
		_, err := c.Receive(t.Context())
		assert.ErrorIs(t, err, transport.TooSlow)
	})
}

func TestCloseEndsReconnectingInEveryPhase(t *testing.T) {
	for name, block := range map[string]func(ctx context.Context, n, addr string) (net.Conn, error){
		"waiting":    func(context.Context, string, string) (net.Conn, error) { return nil, syscall.ECONNREFUSED },
		"connecting": func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() },
		"in the handshake": func(ctx context.Context, _, _ string) (net.Conn, error) {
			near, _ := pipe()
			return near, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network := newMemory()
				g := startGateway(t, clienttest.Config{Listener: network, Opened: (*clienttest.Session).Cut})
				var dials atomic.Int32
				seen := watch()
				c, err := client.Dial(t.Context(), "gateway", client.Options{
					Pin: g.Pin(), OnState: seen.on, OpenTimeout: time.Hour,
					DialContext: func(ctx context.Context, n, addr string) (net.Conn, error) {
						if dials.Add(1) == 1 {
							return network.Dial(ctx, n, addr)
						}
						return block(ctx, n, addr)
					},
				})
				require.NoError(t, err)
				seen.next(t, client.Opened)
				seen.next(t, client.Lost)
				seen.next(t, client.Reconnecting)
				time.Sleep(time.Second)
				start := time.Now()
				require.NoError(t, c.Close())
				assert.Zero(t, time.Since(start))
				assert.ErrorIs(t, c.Err(), transport.Normal)
			})
		})
	}
}

func TestASlowOnStateHoldsNothingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var kinds []client.StateKind
		_, c := simulated(t, clienttest.Config{Opened: firstSession(func(s *clienttest.Session) {
			for range 1000 {
				s.GoAway(transport.Draining, time.Second, "")
			}
			s.Cut()
		})}, client.Options{OnState: func(s client.State) {
			time.Sleep(time.Second)
			kinds = append(kinds, s.Kind)
		}})
		require.NoError(t, c.Send(t.Context(), client.Reliable, 0, []byte("x")))
		for c.Info().Counters.Reopened == 0 {
			time.Sleep(10 * time.Millisecond)
		}
		require.NoError(t, c.Send(t.Context(), client.Reliable, 0, []byte("y")))
		require.NoError(t, c.Close())
		require.Greater(t, len(kinds), 4)
		assert.Less(t, len(kinds), 100, "the flood of GOAWAYs was not bounded")
		assert.Equal(t, client.Opened, kinds[0])
		assert.Equal(t, []client.StateKind{client.Lost, client.Reconnecting, client.Reopened, client.Closed}, kinds[len(kinds)-4:])
	})
}

func TestFirstMakesDialTryAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := newMemory()
		g := startGateway(t, clienttest.Config{Listener: network})
		network.refusing(syscall.ECONNREFUSED)
		o := client.Options{Pin: g.Pin(), DialContext: network.Dial, Reconnect: client.Reconnect{First: true}}
		time.AfterFunc(time.Minute, func() { network.refusing(nil) })
		start := time.Now()
		c, err := client.Dial(t.Context(), "gateway", o)
		require.NoError(t, err)
		assert.GreaterOrEqual(t, time.Since(start), time.Minute)
		require.NoError(t, c.Close())

		network.refusing(syscall.ECONNREFUSED)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err = client.Dial(ctx, "gateway", o)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.ErrorIs(t, err, syscall.ECONNREFUSED)

		network.refusing(nil)
		o.Pin = fmt.Sprintf("%064x", 1)
		_, err = client.Dial(t.Context(), "gateway", o)
		var verify *client.VerifyError
		assert.ErrorAs(t, err, &verify, "a wrong certificate is final")
	})
}

func TestTheTokenIsAskedForEachConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tokens := make(chan string, 10)
		var asked atomic.Int32
		_, c := simulated(t, clienttest.Config{
			Hello: func(h *straitv1.ClientHello, _ *straitv1.ServerHello) error {
				tokens <- string(h.GetAuthToken())
				return nil
			},
			Opened: firstSession((*clienttest.Session).Cut),
		}, client.Options{Token: func(context.Context) ([]byte, error) {
			n := asked.Add(1)
			if n == 2 {
				return nil, errors.New("the shop is closed")
			}
			return fmt.Appendf(nil, "token %d", n), nil
		}})
		assert.Equal(t, "token 1", <-tokens)
		assert.Equal(t, "token 3", <-tokens, "a token that cannot be had is a failed attempt")
		require.NoError(t, c.Close())
	})
}
