package link_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strait/compare/link"
)

func TestValidateSaysWhatWouldBeRight(t *testing.T) {
	for name, c := range map[string]struct {
		config link.Config
		want   string
	}{
		"loss":           {link.Config{Up: link.Settings{Loss: 1.2}}, "up.loss is 120%: a share of packets is from 0% to 100%"},
		"not a number":   {link.Config{Up: link.Settings{Loss: math.NaN()}}, "up.loss is not a number: a share"},
		"negative delay": {link.Config{Down: link.Settings{Delay: -time.Second}}, "down.delay is -1s: it is from 0s to 10s"},
		"long delay":     {link.Config{Down: link.Settings{Delay: time.Minute}}, "down.delay is 1m0s: it is from 0s to 10s"},
		"jitter":         {link.Config{Up: link.Settings{Delay: 12 * ms, Jitter: 5 * ms}}, "at most 4ms, a longer delay, or pareto"},
		"uniform":        {link.Config{Up: link.Settings{Delay: 10 * ms, Jitter: 11 * ms, Distribution: link.Uniform}}, "at most 10ms"},
		"tail":           {link.Config{Up: link.Settings{Jitter: time.Second, Distribution: link.Pareto}}, "whose tail reaches 20s: at most 500ms"},
		"distribution":   {link.Config{Up: link.Settings{Distribution: 9}}, "one of normal, uniform and pareto"},
		"hold":           {link.Config{Up: link.Settings{Hold: ms}}, "up.hold is 1ms without jitter"},
		"endless burst":  {link.Config{Up: link.Settings{Burst: link.Burst{P: 0.1}}}, "up.burst.r is 0%, so that the first burst never ends"},
		"burst":          {link.Config{Up: link.Settings{Burst: link.Burst{R: 0.1}}}, "up.burst.p is 0%"},
		"burst share":    {link.Config{Up: link.Settings{Burst: link.Burst{P: 2, R: 1}}}, "up.burst.p is 200%"},
		"reorder":        {link.Config{Up: link.Settings{Reorder: 0.1}}, "nothing is overtaken"},
		"reorder delay":  {link.Config{Up: link.Settings{ReorderDelay: ms}}, "a share of packets, or no delay"},
		"duplicate":      {link.Config{Up: link.Settings{Duplicate: -0.5}}, "up.duplicate is -50%"},
		"queue":          {link.Config{Up: link.Settings{Queue: 3000}}, "up.queue is 3000 bytes without a rate"},
		"small queue":    {link.Config{Up: link.Settings{Rate: 1e6, Queue: 100}}, "at least 1500"},
		"large queue":    {link.Config{Up: link.Settings{Rate: 1e6, Queue: 1e9}}, "at most 1250000"},
		"rate":           {link.Config{Up: link.Settings{Rate: -1}}, "up.rate is -1 bit/s: from 12000"},
		"blackout":       {link.Config{Blackouts: []link.Blackout{{At: -1, For: 1}}}, "blackout 1 begins at -1ns"},
		"no blackout":    {link.Config{Blackouts: []link.Blackout{{}}}, "it lasts longer than 0s"},
		"all dark":       {link.Config{Blackouts: []link.Blackout{{For: 2, Every: 1}}}, "the period is longer than the blackout"},
		"address":        {link.Config{AddressChanges: []time.Duration{2, 2}}, "address change 2 is at 2ns, that before it at 2ns"},
		"early address":  {link.Config{AddressChanges: []time.Duration{-1}}, "address change 1 is at -1ns"},
		"addresses":      {link.Config{AddressChanges: make([]time.Duration, 201)}, "at most 200"},
	} {
		t.Run(name, func(t *testing.T) {
			require.ErrorContains(t, c.config.Validate(), c.want)
			_, err := link.New(c.config)
			require.Error(t, err)
		})
	}
	both := link.Config{Up: link.Settings{Loss: 2}, Down: link.Settings{Rate: -1}}.Validate()
	require.Len(t, strings.Split(both.Error(), "\n"), 2, "all problems, one a line")
	require.NoError(t, link.Config{}.Validate())
	require.NoError(t, link.Config{Up: link.Settings{Delay: 15 * ms, Jitter: 5 * ms, Loss: 1, Rate: 1e6, Queue: 1500}}.Validate())
}

func TestDistributionNames(t *testing.T) {
	for _, d := range []link.Distribution{link.Normal, link.Uniform, link.Pareto} {
		got, err := link.ParseDistribution(d.String())
		require.NoError(t, err)
		require.Equal(t, d, got)
	}
	_, err := link.ParseDistribution("gauss")
	require.ErrorContains(t, err, `"gauss" is no distribution: one of normal, uniform, pareto`)
}
