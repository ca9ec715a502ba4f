package contender_test

import (
	"context"
	"encoding/json"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"strait/client"
	"strait/compare/game"
	"strait/compare/grid/contender"
	"strait/compare/measure"
	"strait/compare/report/plot"
	"strait/internal/nearest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// kcp-go's schedulers, of the process.
		goleak.IgnoreAnyFunction("github.com/xtaci/kcp-go/v5.(*TimedSched).sched"),
		goleak.IgnoreAnyFunction("github.com/xtaci/kcp-go/v5.(*TimedSched).prepend"))
}

// The whole game on each of them, with the endpoint told as it is between processes.
func TestEachCarriesTheGame(t *testing.T) {
	for _, c := range contender.All() {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			clock := game.NewClock()
			logic, err := game.NewLogic(game.Workload{}, clock, 1)
			require.NoError(t, err)
			s, err := c.Serve(t.Context(), netip.MustParseAddrPort("127.0.0.1:0"), logic)
			require.NoError(t, err)
			told, err := json.Marshal(s.Endpoint())
			require.NoError(t, err)
			var e contender.Endpoint
			require.NoError(t, json.Unmarshal(told, &e))
			until := clock.Now() + int64(3*time.Second)
			var running sync.WaitGroup
			running.Go(func() { logic.Run(t.Context(), until) })
			log := game.Player{Clock: clock, Dial: c.Dial(e), Drain: 3 * time.Second}.Play(t.Context(), until)
			running.Wait()
			require.NoError(t, s.Close())
			require.Empty(t, log.Failure)
			require.Zero(t, log.Reconnects)
			theirs, _ := logic.Logs()
			require.Len(t, theirs, 1)
			log, err = measure.Join(log, theirs[0])
			require.NoError(t, err)
			run, err := measure.Take(game.Workload{}.Flows(), []measure.PlayerLog{log}, measure.Window{From: log.Opened, To: until}, nil)
			require.NoError(t, err)
			for _, f := range run.Flows {
				assert.Positive(t, f.Delivered, f.Name)
				assert.Zero(t, f.OutOfOrder, f.Name)
				if f.Reliable {
					assert.Zero(t, f.Lost(), f.Name)
				}
			}
		})
	}
}

// A player who finds nobody, or somebody else, does not get in.
func TestDialRefuses(t *testing.T) {
	logic, err := game.NewLogic(game.Workload{}, game.NewClock(), 1)
	require.NoError(t, err)
	for _, c := range contender.All() {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			s, err := c.Serve(t.Context(), netip.MustParseAddrPort("127.0.0.1:0"), logic)
			require.NoError(t, err)
			e := s.Endpoint()
			try := func(e contender.Endpoint) {
				ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
				defer cancel()
				_, err := c.Dial(e)(ctx)
				require.Error(t, err)
			}
			wrong := e
			switch {
			case e.Pin != "":
				digit := "0"
				if e.Pin[0] == '0' {
					digit = "1"
				}
				wrong.Pin = digit + e.Pin[1:]
			case e.Key != nil:
				wrong.Key = make([]byte, len(e.Key))
			default:
				wrong.Certificate = nil
			}
			try(wrong)
			require.NoError(t, s.Close())
			try(e)
		})
	}
}

func TestServeSaysWhereItCannot(t *testing.T) {
	for _, c := range contender.All() {
		_, err := c.Serve(t.Context(), netip.MustParseAddrPort("192.0.2.1:0"), nil)
		require.ErrorContains(t, err, "serving "+c.Name)
	}
}

// What the SDK can dial is compared: who adds a transport to it adds a contender.
func TestEveryTransportOfTheSDKIsCompared(t *testing.T) {
	for _, dialled := range append(client.Transports[:], client.Auto) {
		_, err := contender.Lookup(dialled.String())
		assert.NoError(t, err)
	}
	assert.LessOrEqual(t, len(contender.All()), plot.Series, "a report tells no more apart")
}

func TestLookupSuggests(t *testing.T) {
	c, err := contender.Lookup("quic")
	require.NoError(t, err)
	assert.Equal(t, "quic", c.Name)
	for wrong, right := range map[string]string{"websockets": "websocket", "quic-stream": "quic-streams", "TCP": "tcp", "quick": "quic", "tcp-udp": "tcp+udp"} {
		_, err := contender.Lookup(wrong)
		var unknown *nearest.UnknownError
		require.ErrorAs(t, err, &unknown)
		assert.Equal(t, right, unknown.Nearest)
		assert.ErrorContains(t, err, "did you mean "+right+"?")
	}
	_, err = contender.Lookup("pigeon")
	assert.ErrorContains(t, err, "there are tcp, tcp+udp, quic-one-stream,")
}
