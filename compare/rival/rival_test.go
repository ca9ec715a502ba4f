package rival_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"strait/compare/game"
	"strait/compare/measure"
	"strait/compare/rival"
	"strait/compare/rival/kcp"
	"strait/compare/rival/websocket"
	"strait/transport"
	"strait/transport/tlsconfig"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// kcp-go's schedulers, of the process.
		goleak.IgnoreAnyFunction("github.com/xtaci/kcp-go/v5.(*TimedSched).sched"),
		goleak.IgnoreAnyFunction("github.com/xtaci/kcp-go/v5.(*TimedSched).prepend"))
}

type server interface {
	Sessions() int
	Close() error
}

var key = []byte("sixteen bytes in")

// rivals start a server on loopback and return how to reach it.
var rivals = map[string]func(*testing.T, rival.Handler) (server, game.Dial){
	"kcp": func(t *testing.T, h rival.Handler) (server, game.Dial) {
		s, err := kcp.Listen("127.0.0.1:0", kcp.Config{Key: key, Idle: 500 * time.Millisecond}, h)
		require.NoError(t, err)
		return s, func(ctx context.Context) (game.Conn, error) {
			c, err := kcp.Dial(ctx, s.Addr().String(), kcp.Config{Key: key})
			if err != nil {
				return nil, err
			}
			return c, nil
		}
	},
	"websocket": func(t *testing.T, h rival.Handler) (server, game.Dial) {
		source, err := tlsconfig.New(tlsconfig.Config{Hosts: []string{"127.0.0.1"}})
		require.NoError(t, err)
		t.Cleanup(func() { _ = source.Close() })
		s, err := websocket.Listen("127.0.0.1:0", source.Server("http/1.1"), h)
		require.NoError(t, err)
		roots := x509.NewCertPool()
		roots.AddCert(source.Certificate())
		return s, func(ctx context.Context) (game.Conn, error) {
			c, err := websocket.Dial(ctx, s.Addr().String(), &tls.Config{RootCAs: roots})
			if err != nil {
				return nil, err
			}
			return c, nil
		}
	},
}

// patience is how long what must happen may take.
const patience = 20 * time.Second

// The whole game on each of them: everything reliable arrives once and in order, in
// both directions.
func TestTheGame(t *testing.T) {
	for name, start := range rivals {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := game.NewClock()
			logic, err := game.NewLogic(game.Workload{}, clock, 1)
			require.NoError(t, err)
			s, dial := start(t, logic)
			defer s.Close()
			until := clock.Now() + int64(2*time.Second)
			var running sync.WaitGroup
			running.Go(func() { logic.Run(t.Context(), until) })
			log := game.Player{Clock: clock, Dial: dial, Drain: 3 * time.Second}.Play(t.Context(), until)
			running.Wait()
			require.Empty(t, log.Failure)
			require.Zero(t, log.Reconnects)
			require.Eventually(t, func() bool { return s.Sessions() == 0 }, patience, 5*time.Millisecond)
			theirs, _ := logic.Logs()
			require.Len(t, theirs, 1)
			log, err = measure.Join(log, theirs[0])
			require.NoError(t, err)
			run, err := measure.Take(game.Workload{}.Flows(), []measure.PlayerLog{log}, measure.Window{From: log.Opened, To: until}, nil)
			require.NoError(t, err)
			for _, f := range run.Flows {
				assert.Positive(t, f.Sent, f.Name)
				assert.Zero(t, f.Lost(), f.Name)
				assert.Zero(t, f.Duplicates, f.Name)
				assert.Zero(t, f.OutOfOrder, f.Name)
			}
			require.NoError(t, s.Close())
			require.NoError(t, s.Close())
		})
	}
}

// silent takes everything and answers nothing.
type silent struct{}

func (silent) Message(game.Sender, []byte) {}
func (silent) Closed(game.Sender)          {}

func TestOpeningEndsWithItsContext(t *testing.T) {
	for name, start := range rivals {
		t.Run(name, func(t *testing.T) {
			s, dial := start(t, silent{})
			require.NoError(t, s.Close())
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			_, err := dial(ctx)
			require.Error(t, err)
		})
	}
}

func TestReceiveEndsWithItsContextAndClose(t *testing.T) {
	for name, start := range rivals {
		t.Run(name, func(t *testing.T) {
			s, dial := start(t, silent{})
			defer s.Close()
			c, err := dial(t.Context())
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			_, err = c.Receive(ctx)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.NoError(t, c.Close())
			require.NoError(t, c.Close())
			require.Error(t, c.Send(t.Context(), transport.Reliable, 0, []byte("late")))
			_, err = c.Receive(t.Context())
			require.Error(t, err)
		})
	}
}

func TestTooLongIsRefused(t *testing.T) {
	for name, start := range rivals {
		t.Run(name, func(t *testing.T) {
			s, dial := start(t, silent{})
			defer s.Close()
			c, err := dial(t.Context())
			require.NoError(t, err)
			defer c.Close()
			var tooLarge *transport.TooLargeError
			require.ErrorAs(t, c.Send(t.Context(), transport.Reliable, 0, make([]byte, rival.MaxPayload+1)), &tooLarge)
			require.NoError(t, c.Send(t.Context(), transport.Reliable, 0, make([]byte, rival.MaxPayload)))
		})
	}
}

// parrot sends every payload back.
type parrot struct{}

func (parrot) Message(s game.Sender, payload []byte) {
	_ = s.Send(transport.Reliable, 9, payload)
	s.Flush()
}
func (parrot) Closed(game.Sender) {}

// What is longer than a packet comes back whole.
func TestLongMessages(t *testing.T) {
	for name, start := range rivals {
		t.Run(name, func(t *testing.T) {
			s, dial := start(t, parrot{})
			defer s.Close()
			c, err := dial(t.Context())
			require.NoError(t, err)
			defer c.Close()
			want := make([]byte, rival.MaxPayload)
			for i := range want {
				want[i] = byte(i * 31 >> 3)
			}
			for range 3 {
				require.NoError(t, c.Send(t.Context(), transport.Unreliable, 3, want))
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				got, err := c.Receive(ctx)
				cancel()
				require.NoError(t, err)
				require.Equal(t, game.Message{Delivery: transport.Reliable, Channel: 9, Payload: want}, got)
			}
		})
	}
}

// A session whose writer stands still refuses, and ends with the first reliable
// message that finds no room.
func TestSessionThatIsTooSlow(t *testing.T) {
	ended := make(chan struct{}, 2)
	s := rival.NewSession(func() { ended <- struct{}{} })
	for range rival.Queue {
		require.NoError(t, s.Send(transport.Unreliable, 0, []byte("x")))
	}
	require.ErrorIs(t, s.Send(transport.Unreliable, 0, []byte("x")), rival.ErrTooSlow)
	require.Empty(t, ended)
	require.ErrorIs(t, s.Send(transport.Reliable, 0, []byte("x")), rival.ErrTooSlow)
	require.Len(t, ended, 1)
	require.EqualValues(t, 2, s.Refused())
	s.Write(func([][]byte) error { t.Error("written after its end"); return nil })
}

func TestKCPConfigValidate(t *testing.T) {
	good := kcp.Config{Key: key}
	require.NoError(t, good.Validate())
	for what, change := range map[string]func(*kcp.Config){
		"Key has 3 bytes": func(c *kcp.Config) { c.Key = key[:3] },
		"windows":         func(c *kcp.Config) { c.SendWindow = -1 },
		"MTU 100":         func(c *kcp.Config) { c.MTU = 100 },
		"Idle":            func(c *kcp.Config) { c.Idle = -1 },
	} {
		c := good
		change(&c)
		require.ErrorContains(t, c.Validate(), what)
		_, err := kcp.Listen("127.0.0.1:0", c, silent{})
		require.Error(t, err)
	}
}

func TestWebSocketNeedsTLS(t *testing.T) {
	_, err := websocket.Listen("127.0.0.1:0", nil, silent{})
	require.ErrorContains(t, err, "TLS")
	_, err = websocket.Dial(t.Context(), "127.0.0.1:1", nil)
	require.ErrorContains(t, err, "TLS")
}

func FuzzParseFrame(f *testing.F) {
	f.Add(rival.AppendFrame(nil, transport.Unreliable, 7, []byte("payload")))
	f.Add([]byte{0})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := rival.ParseFrame(b)
		if err == nil {
			require.Equal(t, b, rival.AppendFrame(nil, m.Delivery, m.Channel, m.Payload))
		}
	})
}
