package e2e

import (
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/proto/straitv1"
)

func TestServerHello(t *testing.T) {
	t.Parallel()
	gw := serve(t, "STRAIT_IDLE_TIMEOUT=17s", "STRAIT_MAX_MESSAGE_BYTES=20000")
	seen := make(map[string]bool)
	for range 5 {
		p := join(t, gw)
		h := p.hello
		assert.EqualValues(t, 1, h.Version)
		assert.Len(t, h.SessionId, 16)
		assert.False(t, seen[string(h.SessionId)], "a session id is used once")
		seen[string(h.SessionId)] = true
		assert.EqualValues(t, 20000, h.MaxMessageBytes)
		assert.GreaterOrEqual(t, h.MaxUnreliableBytes, uint32(1100))
		assert.EqualValues(t, 17000, h.IdleTimeoutMs)
		assert.WithinDuration(t, time.Now(), time.UnixMicro(int64(h.ServerTimeUs)), time.Minute)
		assert.Nil(t, h.Udp)
		assert.False(t, h.Resumed)

		p.write(data(0, make([]byte, 20000)))
		assert.Len(t, p.expect(tData).payload, 20000)
		listed := gw.sessions()
		require.Len(t, listed, 1)
		assert.Equal(t, fmt.Sprintf("%x", h.SessionId), listed[0].ID)
		assert.Equal(t, p.local(), listed[0].Remote)

		p.write(header(tData, 20001))
		assert.Contains(t, p.expectClose(cProtocolError).Reason, "20000")
		gw.polls(func() bool { return len(gw.sessions()) == 0 }, "/sessions still lists a session that ended")
	}
}

func TestHelloOneByteAtATime(t *testing.T) { onBothPaths(t, testHelloOneByteAtATime) }

func testHelloOneByteAtATime(t *testing.T, path string) {
	gw := serve(t, path)
	other := accompany(t, gw)
	p := connect(t, gw)
	for _, b := range clientHello() {
		p.write([]byte{b})
	}
	p.welcome()
	p.plays()
	other.undisturbed(t)
}

func TestDataRightBehindTheHello(t *testing.T) { onBothPaths(t, testDataRightBehindTheHello) }

func testDataRightBehindTheHello(t *testing.T, path string) {
	p := connect(t, serve(t, path))
	p.write(clientHello(), data(1, []byte("one")), unreliable(2, 7, []byte("two")), data(1, nil), closing(cNormal, "and away"))
	p.welcome()
	// The echoes may still be on their way when CLOSE is read; their order holds.
	before, c := p.untilClose()
	assert.EqualValues(t, cNormal, c.Code)
	p.expectEnd()
	var reliable []string
	for _, f := range before {
		if f.typ == tData {
			reliable = append(reliable, string(f.payload))
		}
	}
	for i, got := range reliable {
		assert.Equal(t, []string{"one", ""}[i], got)
	}

	p = connect(t, serve(t, path))
	p.write(clientHello(), data(1, []byte("one")), data(1, []byte("two")))
	p.welcome()
	p.expectData(1, []byte("one"))
	p.expectData(1, []byte("two"))
}

// An opening of the full 16384 bytes is one.
func TestTheLongestHello(t *testing.T) { onBothPaths(t, testTheLongestHello) }

func testTheLongestHello(t *testing.T, path string) {
	p := connect(t, serve(t, path))
	h := message(tClientHello, &straitv1.ClientHello{Version: 1, AuthToken: make([]byte, 16384-5)})
	require.Equal(t, 6+16384, len(h))
	p.write(h)
	p.welcome()
	p.plays()
}

// What a client of another version said is not shown to game logic.
func TestWrongVersion(t *testing.T) {
	t.Parallel()
	game := listenLogic(t)
	gw := serve(t, game.env()...)
	for _, version := range []uint32{0, 2, 1 << 31} {
		p := connect(t, gw)
		p.write(message(tClientHello, &straitv1.ClientHello{Version: version}), data(0, []byte("unseen")))
		c := p.expectClose(cVersion)
		assert.Contains(t, c.Reason, fmt.Sprint(version))
		assert.Contains(t, c.Reason, "1")
	}
	good := join(t, gw)
	good.plays()
	var sessions []uint64
	for _, e := range game.events.all() {
		if e.GetOpened() != nil {
			sessions = append(sessions, e.Session)
		}
		if m := e.GetMessage(); m != nil {
			assert.NotEqual(t, "unseen", string(m.Payload))
		}
	}
	assert.Len(t, sessions, 1)
	assert.EqualValues(t, 3, gw.metric(`strait_openings_total{code="VERSION"}`))
}

// Handshake, hello and authentication share one deadline.
func TestOpeningDeadline(t *testing.T) {
	t.Parallel()
	const timeout = 3 * time.Second // which handshakes on a busy machine meet
	gw := serve(t, "STRAIT_OPEN_TIMEOUT="+timeout.String())
	other := accompany(t, gw)
	t.Run("each", func(t *testing.T) {
		for name, sent := range map[string][]byte{
			"nothing":                  nil,
			"half a header":            clientHello()[:3],
			"half a hello":             clientHello()[:9],
			"only types to be skipped": raw(0x99, make([]byte, 100)),
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				began := time.Now()
				p := connect(t, gw)
				p.write(sent)
				p.expectClose(cTimeout)
				assert.GreaterOrEqual(t, time.Since(began), timeout-100*time.Millisecond)
			})
		}
		t.Run("a hello that trickles", func(t *testing.T) {
			t.Parallel()
			p := connect(t, gw)
			stop := make(chan struct{})
			stopped := make(chan struct{})
			go func() {
				defer close(stopped)
				pace := time.NewTicker(50 * time.Millisecond)
				defer pace.Stop()
				for _, b := range append(header(tClientHello, 16000), make([]byte, 16000)...) {
					select {
					case <-stop:
						return
					case <-pace.C:
					}
					if _, err := p.conn.Write([]byte{b}); err != nil {
						return
					}
				}
			}()
			c := p.closeFrame(p.expect(tClose))
			assert.EqualValues(t, cTimeout, c.Code)
			close(stop)
			<-stopped
		})
		t.Run("without TLS", func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", gw.addr)
			require.NoError(t, err)
			defer conn.Close()
			require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
			_, err = conn.Read(make([]byte, 100))
			require.Error(t, err)
			netErr, ok := err.(net.Error)
			assert.False(t, ok && netErr.Timeout(), "the gateway ends what never begins")
		})
	})
	assert.EqualValues(t, 5, gw.metric(`strait_openings_total{code="TIMEOUT"}`))
	assert.EqualValues(t, 1, gw.metric(`strait_tcp_handshake_failures_total{reason="timeout"}`))
	other.undisturbed(t)
}

func TestMaxSessions(t *testing.T) {
	t.Parallel()
	gw := serve(t, "STRAIT_MAX_SESSIONS=3")
	players := []*player{join(t, gw), join(t, gw), join(t, gw)}
	for range 3 {
		p := connect(t, gw)
		p.write(clientHello())
		c := p.expectClose(cOverloaded)
		assert.NotZero(t, c.RetryAfterMs, "when to come back")
		assert.Contains(t, c.Reason, "3")
	}
	for _, p := range players {
		p.plays()
	}
	players[0].write(closing(cNormal, "room for another"))
	players[0].expectClose(cNormal)
	gw.falls(`strait_sessions{transport="tcp"}`, 2)
	join(t, gw).plays()
	status, _ := gw.get("/readyz")
	assert.Equal(t, http.StatusOK, status)
}
