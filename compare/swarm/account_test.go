package swarm

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// lone is a player of a run that nothing sends.
func lone() *player {
	s := &swarm{run: 77, tallies: []*tally{{}}}
	return &player{swarm: s, number: 3, tally: s.tallies[0]}
}

func message(h header, n int) []byte {
	b := filled(n)
	h.put(b)
	return b
}

func TestHeadersAreReadBack(t *testing.T) {
	h := header{flow: chat, run: 1<<64 - 2, client: 1<<32 - 3, seq: 1<<32 - 4, due: 1<<62 + 5}
	got, ok := parse(message(h, HeaderLen))
	require.True(t, ok)
	assert.Equal(t, h, got)
	_, ok = parse(message(h, HeaderLen)[:HeaderLen-1])
	assert.False(t, ok, "too short")
	_, ok = parse(message(header{flow: flows}, 64))
	assert.False(t, ok, "no such flow")
	_, ok = parse(filled(64))
	assert.False(t, ok, "no magic")
}

func FuzzTakeNeverPanics(f *testing.F) {
	f.Add(message(header{flow: inputs, run: 77, client: 3, seq: 9, due: 4}, 64))
	f.Add(message(header{flow: chat, run: 77, client: 3, seq: 1<<32 - 1, due: -1 << 63}, HeaderLen))
	f.Add([]byte("a snapshot"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		p := lone()
		p.take(b, 5)
		p.take(b, 1<<63-1)
		total := sum(p.swarm.tallies)
		counted := total.snapshots
		for _, e := range total.back {
			counted += e.Received + e.Duplicated
		}
		assert.EqualValues(t, 2, counted)
	})
}

func TestEchoesAreAccountedFor(t *testing.T) {
	p := lone()
	echo := func(flow uint8, seq uint32, due, at time.Duration) {
		p.take(message(header{flow: flow, run: 77, client: 3, seq: seq, due: int64(due)}, 100), int64(at))
	}
	const ms = time.Millisecond
	echo(inputs, 0, 0, 10*ms)
	echo(inputs, 2, 20*ms, 50*ms) // 1 is late
	echo(inputs, 1, 10*ms, 60*ms)
	echo(inputs, 2, 20*ms, 70*ms) // again
	echo(chat, 5, 0, 1*ms)        // 0 to 4 are lost
	p.take(message(header{flow: inputs, run: 78, client: 3}, 30), 0)
	p.take(message(header{flow: inputs, run: 77, client: 4}, 40), 0)
	p.take([]byte("a snapshot"), 0)
	p.take(nil, 0)

	p.tally.flows[inputs].sent.Store(4)
	p.tally.flows[chat].sent.Store(6)
	total := sum(p.swarm.tallies)
	assert.Equal(t, Echoes{Received: 3, Duplicated: 1, Disordered: 1, Bytes: 400}, total.back[inputs])
	assert.Equal(t, Echoes{Received: 1, Bytes: 100}, total.back[chat])
	assert.EqualValues(t, 4, total.snapshots, "another run's, another client's, a short one, an empty one")
	assert.EqualValues(t, 30+40+10, total.snapshotBytes)
	assert.False(t, total.complete())

	o := observer{swarm: p.swarm}
	p.swarm.base = time.Now()
	got := o.look()
	assert.EqualValues(t, 10, got.Sent)
	assert.EqualValues(t, 4, got.Received)
	assert.EqualValues(t, 6, got.Lost)
	assert.EqualValues(t, 3, got.Latency[inputs].Count)
	assert.InDelta(t, 30_000, got.Latency[inputs].P50, 100)
	assert.InDelta(t, 50_000, got.Latency[inputs].Max, 100)
	assert.Zero(t, o.look().Latency[inputs].Count, "what was reported is not reported again")

	r := Report{}
	p.swarm.config = Config{Inputs: Flow{Rate: 1, Size: 100}, Chat: Flow{Rate: 1, Size: 100}}
	p.swarm.report(&r, &o)
	require.Len(t, r.Flows, 2)
	assert.EqualValues(t, 1, r.Flows[0].Lost)
	assert.Equal(t, 0.25, r.Flows[0].Loss())
	assert.EqualValues(t, 5, r.Flows[1].Lost)
	assert.EqualValues(t, 3, r.Flows[0].Latency.Count, "the report has the whole run")
	p.tally.flows[inputs].sent.Store(3)
	p.tally.flows[chat].sent.Store(1)
	complete := sum(p.swarm.tallies)
	assert.True(t, complete.complete())
}

func TestCountingAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	p := lone()
	b := message(header{flow: inputs, run: 77, client: 3}, 64)
	snapshot := []byte("a snapshot")
	seq := uint32(0)
	p.take(b, 1) // the histogram is made
	assert.Zero(t, testing.AllocsPerRun(1000, func() {
		seq++
		header{flow: inputs, run: 77, client: 3, seq: seq, due: 5}.put(b)
		p.take(b, 1_000_000)
		p.take(snapshot, 1_000_000)
	}))
}
