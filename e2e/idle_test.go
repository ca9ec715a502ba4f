package e2e

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/proto/straitv1"
)

// idleTimeout leaves two seconds to answer a PING in: a busy machine may well keep a
// test from running for one.
const idleTimeout = 3 * time.Second

func serveIdle(t *testing.T, path string) *process {
	return serve(t, path, "STRAIT_IDLE_TIMEOUT="+idleTimeout.String())
}

// A silent session is PINGed after a third of the idle timeout and closed IDLE
// after all of it.
func TestIdle(t *testing.T) { onBothPaths(t, testIdle) }

func testIdle(t *testing.T, path string) {
	gw := serveIdle(t, path)
	began := time.Now() // no later than what the gateway counts from
	p := join(t, gw)
	f, err := p.read()
	require.NoError(t, err)
	require.EqualValues(t, tPing, f.typ)
	assert.Len(t, f.payload, 8)
	assert.Zero(t, f.channel)
	assert.Greater(t, time.Since(began), idleTimeout/4) // and it comes before CLOSE
	for f.typ == tPing {
		f, err = p.read()
		require.NoError(t, err)
	}
	require.EqualValues(t, tClose, f.typ)
	assert.EqualValues(t, cIdle, p.closeFrame(f).Code)
	assert.GreaterOrEqual(t, time.Since(began), idleTimeout-50*time.Millisecond)
	p.expectEnd()
}

// Answering the gateway's PINGs is enough to stay.
func TestPongKeepsAlive(t *testing.T) { onBothPaths(t, testPongKeepsAlive) }

func testPongKeepsAlive(t *testing.T, path string) {
	p := join(t, serveIdle(t, path))
	began := time.Now()
	for time.Since(began) < 5*idleTimeout/2 {
		f, err := p.read()
		require.NoError(t, err)
		require.EqualValues(t, tPing, f.typ)
		p.write(raw(tPong, append(f.payload, 0, 0, 0, 0)))
	}
	p.plays()
}

// Any whole frame keeps a session alive; bytes that make none do not.
func TestOnlyWholeFramesKeepAlive(t *testing.T) { onBothPaths(t, testOnlyWholeFramesKeepAlive) }

func testOnlyWholeFramesKeepAlive(t *testing.T, path string) {
	gw := serveIdle(t, path)
	t.Run("frames to be skipped", func(t *testing.T) {
		t.Parallel()
		p := join(t, gw)
		trickle(t, p, 2*idleTimeout, func(int) []byte { return raw(0x80, nil) })
		p.plays()
	})
	t.Run("a frame that is never whole", func(t *testing.T) {
		t.Parallel()
		p := join(t, gw)
		p.write(header(tData, 60000))
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			pace := time.NewTicker(idleTimeout / 10)
			defer pace.Stop()
			for range 200 {
				<-pace.C
				if _, err := p.conn.Write([]byte{1}); err != nil {
					return
				}
			}
		}()
		for {
			f, err := p.read()
			require.NoError(t, err)
			if f.typ != tPing { // answering would need a whole frame
				require.EqualValues(t, tClose, f.typ)
				assert.EqualValues(t, cIdle, p.closeFrame(f).Code)
				break
			}
		}
		p.conn.NetConn().Close()
		<-ended
	})
}

// The round trip is measured without the time that PONG says the client took; game
// logic hears of it.
func TestRoundTripTime(t *testing.T) {
	t.Parallel()
	game := listenLogic(t)
	gw := serve(t, game.env("STRAIT_IDLE_TIMEOUT=6s")...)
	const lag = time.Second
	for _, c := range []struct {
		name     string
		own      time.Duration // of the lag, as PONG says
		min, max time.Duration
	}{
		{"a slow network", 0, lag, 4 * lag},
		{"a slow client", lag, 1, lag},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var p *player
			var session uint64
			rtt := c.max + 1
			for attempt := 0; attempt < 5 && rtt > c.max; attempt++ { // more may be this machine's
				p = join(t, gw)
				session = game.announced(t, p).Session
				f, err := p.read()
				require.NoError(t, err)
				require.EqualValues(t, tPing, f.typ)
				<-time.After(lag)
				p.write(raw(tPong, binary.BigEndian.AppendUint32(f.payload, uint32(c.own.Microseconds()))))
				rtt = 0
				gw.polls(func() bool {
					for _, s := range gw.sessions() {
						if s.ID == fmt.Sprintf("%x", p.hello.SessionId) {
							rtt = time.Duration(s.RTT) * time.Microsecond
						}
					}
					return rtt > 0
				}, "/sessions tells no round trip time")
				assert.GreaterOrEqual(t, rtt, c.min)
			}
			assert.LessOrEqual(t, rtt, c.max)
			if c.own != 0 {
				return
			}
			link := game.event(t, "LinkChanged", func(e event) bool { return e.Session == session && e.GetLink() != nil }).GetLink()
			assert.EqualValues(t, rtt.Microseconds(), link.RttUs)
			assert.Equal(t, p.local(), link.Remote)
			assert.Equal(t, straitv1.Transport_TRANSPORT_TCP, link.Transport)
		})
	}
}

// trickle sends something every tenth of the idle timeout.
func trickle(t *testing.T, p *player, d time.Duration, what func(i int) []byte) {
	t.Helper()
	pace := time.NewTicker(idleTimeout / 10)
	defer pace.Stop()
	began := time.Now()
	for i := 0; time.Since(began) < d; i++ {
		<-pace.C
		p.write(what(i))
	}
}
