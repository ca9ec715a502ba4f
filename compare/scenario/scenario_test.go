package scenario_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/compare/link"
	"strait/compare/scenario"
	"strait/internal/nearest"
)

func TestCatalogue(t *testing.T) {
	seen := make(map[string]bool)
	for _, s := range scenario.All() {
		t.Run(s.Name, func(t *testing.T) {
			require.NoError(t, s.Validate())
			require.False(t, seen[s.Name])
			seen[s.Name] = true
			assert.NotEmpty(t, s.About)
			assert.NotContains(t, s.About, "\n")
			assert.NotEmpty(t, s.Sources)
			for _, source := range s.Sources {
				assert.Contains(t, source, ": ", "what was taken from it")
			}
			assert.Positive(t, s.RTT())
			assert.Zero(t, s.Link.Seed, "a seed belongs to a run")
			assert.Less(t, time.Duration(float64(s.Link.Up.QueueBytes())*8/float64(s.Link.Up.Rate)*1e9), time.Second, "no queue of a second")
			found, err := scenario.Lookup(s.Name)
			require.NoError(t, err)
			require.Equal(t, s, found)
		})
	}
	for _, name := range []string{"lan", "fiber", "cable-bufferbloat", "wifi-good", "wifi-bad", "4g", "5g", "3g", "intercontinental", "satellite", "mobile-handover", "udp-blocked"} {
		require.True(t, seen[name], name)
	}
	require.Len(t, scenario.Names(), len(seen))

	h, err := scenario.Lookup("mobile-handover")
	require.NoError(t, err)
	h.Link.Blackouts[0].At = time.Hour
	again, err := scenario.Lookup("mobile-handover")
	require.NoError(t, err)
	require.NotEqual(t, time.Hour, again.Link.Blackouts[0].At, "what Lookup returns is the caller's")
}

func TestLookupSuggests(t *testing.T) {
	for typo, want := range map[string]string{
		"fibre": "fiber", "wifi-bd": "wifi-bad", "LAN": "lan", "handover": "mobile-handover", "cable": "cable-bufferbloat",
		"inter": "intercontinental", "satelite": "satellite", "zzzzzz": "", "": "",
	} {
		_, err := scenario.Lookup(typo)
		var unknown *nearest.UnknownError
		require.ErrorAs(t, err, &unknown)
		require.Equal(t, want, unknown.Nearest, typo)
		if want == "" {
			require.ErrorContains(t, err, "there are lan, fiber, ")
		} else {
			require.ErrorContains(t, err, "did you mean "+want+"?")
		}
	}
}

func TestSet(t *testing.T) {
	var s scenario.Scenario
	for _, kv := range [][2]string{
		{"delay", "40ms"}, {"down.delay", "20ms"}, {"jitter", "5ms"}, {"up.distribution", "pareto"}, {"hold", "100ms"},
		{"loss", "1.5%"}, {"burst.p", "1%"}, {"burst.r", "50 %"}, {"burst.good", "0.1%"}, {"burst.bad", "80%"},
		{"reorder", "2%"}, {"reorder-delay", "3ms"}, {"duplicate", "0.5%"}, {"rate", "10Mbit"}, {"up.rate", "1.5 mbit"}, {"queue", "64KiB"},
		{"blackout", "1s at 10s"}, {"blackout", "100ms at 4s every 15s"}, {"address-change", "11s"}, {"block-udp", "yes"},
	} {
		require.NoError(t, s.Set(kv[0], kv[1]), kv[0])
	}
	const ms = time.Millisecond
	want := link.Settings{
		Delay: 20 * ms, Jitter: 5 * ms, Hold: 100 * ms, Loss: 0.015, Burst: link.Burst{P: 0.01, R: 0.5, Good: 0.001, Bad: 0.8},
		Reorder: 0.02, ReorderDelay: 3 * ms, Duplicate: 0.005, Rate: 10_000_000, Queue: 64 << 10,
	}
	require.Equal(t, want, s.Link.Down)
	want.Delay, want.Distribution, want.Rate = 40*ms, link.Pareto, 1_500_000
	require.Equal(t, want, s.Link.Up)
	require.Equal(t, []link.Blackout{{At: 10 * time.Second, For: time.Second}, {At: 4 * time.Second, For: 100 * ms, Every: 15 * time.Second}}, s.Link.Blackouts)
	require.Equal(t, []time.Duration{11 * time.Second}, s.Link.AddressChanges)
	require.True(t, s.Link.BlockUDP)
	require.NoError(t, s.Set("blackout", "none"))
	require.Empty(t, s.Link.Blackouts)

	for kv, want := range map[[2]string]string{
		{"delay", "30"}:                  "delay: \"30\" is no time: a number with a unit",
		{"loss", "1"}:                    `loss: "1" is no share: a number in percent, as 1.5%`,
		{"loss", "NaN%"}:                 "is no share",
		{"rate", "10"}:                   "is no rate",
		{"rate", "1e300Gbit"}:            "is no rate",
		{"queue", "many"}:                "is no number of bytes",
		{"distribution", "gauss"}:        "one of normal, uniform, pareto",
		{"block-udp", "true"}:            "neither yes nor no",
		{"blackout", "1s"}:               "is no blackout: how long and when",
		{"blackout", "1s at 2s each 3s"}: "is no blackout",
		{"up.dellay", "1ms"}:             "did you mean up.delay?",
		{"bandwidth", "1Mbit"}:           "there is no such setting",
	} {
		require.ErrorContains(t, s.Set(kv[0], kv[1]), want)
	}
}

func TestParse(t *testing.T) {
	s, err := scenario.Parse("train.txt", strings.NewReader(`
# on the train
base = 4g
name = train
about = LTE at 200 km/h
up.delay = 45ms
loss = 1%
blackout = 3s at 8s every 30s
`))
	require.NoError(t, err)
	lte, err := scenario.Lookup("4g")
	require.NoError(t, err)
	require.Equal(t, "train", s.Name)
	require.Equal(t, lte.Sources, s.Sources)
	require.Equal(t, 45*time.Millisecond, s.Link.Up.Delay)
	require.Equal(t, lte.Link.Down.Delay, s.Link.Down.Delay)
	require.Equal(t, []float64{0.01, 0.01}, []float64{s.Link.Up.Loss, s.Link.Down.Loss})
	require.Len(t, s.Link.Blackouts, 1)
}

func TestParseErrorsNameTheLine(t *testing.T) {
	for text, want := range map[string]string{
		"name = a\ndelay":                                 `f:2: "delay" has no equals sign`,
		"name = a\ndelay =":                               "f:2: delay has no value",
		"name = a\n\nlos = 1%":                            "f:3: los: there is no such setting; did you mean loss?",
		"name = a\ndelay = 1ms\ndown.delay = 2ms":         "f:3: down.delay is set already, in line 2",
		"name = a\nname = b":                              "f:2: name is set already, in line 1",
		"name = a\nbase = 4g":                             "f:2: base comes first",
		"base = 4gg":                                      "f:1: base: there is no scenario \"4gg\"; did you mean 4g?",
		"name = a\nloss = 120%":                           "f:2: up.loss is 120%: a share of packets is from 0% to 100%",
		"name = a\ndelay = 1ms\ndown.queue = 2KiB":        "f:3: down.queue is 2048 bytes without a rate",
		"delay = 1ms":                                     `f: name is ""`,
		"base = 4g":                                       `f: name is ""`,
		"name = a\nblackout = 2s at 1s every 1s":          "f: blackout 1 lasts 2s",
		"name = a\nabout = " + strings.Repeat("x", 1<<17): "longer than 65536 bytes",
		strings.Repeat("# x\n", 1<<15):                    "longer than 65536 bytes",
	} {
		_, err := scenario.Parse("f", strings.NewReader(text))
		require.ErrorContains(t, err, want)
		var located *scenario.ParseError
		require.ErrorAs(t, err, &located)
	}
	_, err := scenario.Parse("f", strings.NewReader("name = a\nx = 1\ny = 2\nloss = 2000%"))
	require.Len(t, strings.Split(err.Error(), "\n"), 4, "all problems, one a line: %v", err)
}

func TestStringIsWhatParseReads(t *testing.T) {
	for _, s := range scenario.All() {
		got, err := scenario.Parse(s.Name, strings.NewReader(s.String()))
		require.NoError(t, err, s.String())
		require.Equal(t, s, got)
	}
}

func TestJSON(t *testing.T) {
	s, err := scenario.Lookup("mobile-handover")
	require.NoError(t, err)
	b, err := json.Marshal(s)
	require.NoError(t, err)
	var got map[string]any
	require.NoError(t, json.Unmarshal(b, &got))
	require.Equal(t, "mobile-handover", got["name"])
	require.Equal(t, "60ms", got["rtt"])
	require.Equal(t, "29ms", got["up"].(map[string]any)["delay"])
	require.Equal(t, "13Mbit", got["down"].(map[string]any)["rate"])
	require.Equal(t, []any{"1s at 5s"}, got["blackouts"])
	require.Equal(t, []any{"6s"}, got["address_changes"])
}

func TestMarkdown(t *testing.T) {
	md := scenario.Markdown()
	lines := strings.Split(md, "\n")
	for _, s := range scenario.All() {
		require.Contains(t, md, "| `"+s.Name+"` | ")
		require.Contains(t, md, "- `"+s.Name+"`: "+s.About)
	}
	for _, line := range lines[:2+len(scenario.Names())] {
		require.Equal(t, 8, strings.Count(line, "|"), line)
	}
	require.Contains(t, md, "| `wifi-bad` | 38ms | 12ms pareto | 1% + bursts of 3.3, 0.99% | 10Mbit / 20Mbit | 210ms |  |")
	require.Contains(t, md, "new address at 6s")
}

func FuzzParse(f *testing.F) {
	for _, s := range scenario.All() {
		f.Add(s.String())
	}
	f.Add("base = 4g\nname = x\nloss = 3%\nblackout = none\n")
	f.Add("name = x\nqueue = 1.5MB\nrate = 0.1Gbit\n")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := scenario.Parse("f", strings.NewReader(text))
		if err != nil {
			var located *scenario.ParseError
			require.True(t, errors.As(err, &located))
			return
		}
		require.NoError(t, s.Validate())
		again, err := scenario.Parse("f", strings.NewReader(s.String()))
		require.NoError(t, err, s.String())
		require.Equal(t, s.String(), again.String())
	})
}
