package grid_test

import (
	"math"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/compare/game"
	"strait/compare/grid"
	"strait/compare/grid/contender"
	"strait/compare/link"
	"strait/compare/scenario"
)

func network(t *testing.T, name string) grid.Network {
	t.Helper()
	s, err := scenario.Lookup(name)
	require.NoError(t, err)
	return grid.Network{Scenario: s}
}

func transports(t *testing.T, names ...string) (out []contender.Contender) {
	t.Helper()
	for _, name := range names {
		c, err := contender.Lookup(name)
		require.NoError(t, err)
		out = append(out, c)
	}
	return out
}

// nobody is a program that is never started.
func nobody() *exec.Cmd { return nil }

func TestValidateSaysWhatIsWrong(t *testing.T) {
	good := func() grid.Config {
		return grid.Config{Scenarios: []grid.Network{network(t, "4g")}, Transports: transports(t, "tcp", "quic"), Program: nobody}
	}
	require.NoError(t, good().Validate())
	for want, change := range map[string]func(*grid.Config){
		"up.loss is 120%":                  func(c *grid.Config) { c.Scenarios[0].Link.Up.Loss = 1.2 },
		"down.loss is not a number":        func(c *grid.Config) { c.Scenarios[0].Link.Down.Loss = math.NaN() },
		"scenario 4g: down.delay is -5ms":  func(c *grid.Config) { c.Scenarios[0].Link.Down.Delay = -5 * time.Millisecond },
		"no scenario":                      func(c *grid.Config) { c.Scenarios = nil },
		"no transport":                     func(c *grid.Config) { c.Transports = nil },
		"scenario 4g is there twice":       func(c *grid.Config) { c.Scenarios = append(c.Scenarios, c.Scenarios[0]) },
		"transport tcp is there twice":     func(c *grid.Config) { c.Transports = transports(t, "tcp", "tcp") },
		"9 transports: a report tells 8":   func(c *grid.Config) { c.Transports = append(contender.All(), contender.Contender{Name: "more"}) },
		"repetitions: -1 is not from 1":    func(c *grid.Config) { c.Repetitions = -1 },
		"seconds of a run: 1ms is not":     func(c *grid.Config) { c.Measured = time.Millisecond },
		"warm-up: -1s":                     func(c *grid.Config) { c.WarmUp = -time.Second },
		"settling: -1s":                    func(c *grid.Config) { c.Settle = -time.Second },
		"players: 1000":                    func(c *grid.Config) { c.Players = 1000 },
		"side by side: 65":                 func(c *grid.Config) { c.Parallel = 65 },
		"workload: InputRate -1":           func(c *grid.Config) { c.Workload = game.Workload{InputRate: -1} },
		"no program":                       func(c *grid.Config) { c.Program = nil },
		"without impairment there is no":   func(c *grid.Config) { c.Loopback = true },
		"congestion control reno: without": func(c *grid.Config) { c.Loopback, c.CongestionControl = true, "reno" },
		"blackout 1 lasts -1s: it lasts":   func(c *grid.Config) { c.Scenarios[0].Link.Blackouts = []link.Blackout{{For: -time.Second}} },
		"there is no link to set anything ": func(c *grid.Config) {
			c.Scenarios[0], c.Loopback = grid.Network{Scenario: scenario.Scenario{Name: "x"}, Upload: true}, true
		},
	} {
		c := good()
		change(&c)
		assert.ErrorContains(t, c.Validate(), want)
		_, err := grid.Run(t.Context(), c)
		assert.ErrorContains(t, err, want)
	}
}

// The default set of the command takes about five minutes.
func TestLasts(t *testing.T) {
	c := grid.Config{Transports: transports(t, "tcp", "kcp"), Scenarios: []grid.Network{network(t, "4g")}, Parallel: 1}
	// Five repetitions of two: warm-up, what counts, settling and a little.
	assert.InDelta(t, 5*2*(2+6+2), c.Lasts().Seconds(), 3)
	c.Parallel = 2
	assert.InDelta(t, 5*(2+6+2), c.Lasts().Seconds(), 3)
	c.Scenarios = []grid.Network{network(t, "mobile-handover")} // six seconds behind the sixth
	assert.InDelta(t, 5*(2+12+2), c.Lasts().Seconds(), 3)
	c.Scenarios = []grid.Network{network(t, "satellite-geo")} // five round trips of 590 ms
	assert.InDelta(t, 5*(2.95+6+2.95), c.Lasts().Seconds(), 3)
}
