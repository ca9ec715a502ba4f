package swarm

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// some are players who have phases and nothing else.
func some(n int, b beat, seed uint64) (players []*player) {
	for i := range n {
		p := &player{number: uint32(i)}
		p.phases[inputs] = b.phase(seed, inputs, p.number)
		players = append(players, p)
	}
	return players
}

func TestRotaGivesEachPlayerHisTurns(t *testing.T) {
	const rate = 30 // an interval that is no whole number of nanoseconds
	b := newBeat(rate)
	players := some(50, b, 1)
	r := newRota(b, time.Minute, inputs, players)
	turns := map[*player]uint32{}
	last := int64(-1)
	for {
		p, seq, due, ok := r.next()
		if !ok {
			break
		}
		require.Equal(t, turns[p], seq, "sequence numbers count")
		turns[p]++
		require.GreaterOrEqual(t, due, last, "what is due first comes first")
		require.Less(t, due, int64(time.Minute))
		require.Equal(t, b.due(seq, p.phases[inputs]), due)
		last = due
		r.advance()
	}
	for _, p := range players {
		assert.InDelta(t, 60*rate, turns[p], 1)
		first := p.phases[inputs]
		assert.Less(t, first, int64(time.Second)/rate+1)
		// No drift: the last one is due when arithmetic says.
		assert.InDelta(t, float64(first)+59*1e9, float64(b.due(59*rate, first)), 1)
	}
}

func TestPhasesAreSpreadAndSeeded(t *testing.T) {
	b := newBeat(1)
	quarters := [4]int{}
	for i := range uint32(4000) {
		p := b.phase(7, inputs, i)
		require.Equal(t, p, b.phase(7, inputs, i))
		quarters[p*4/int64(time.Second)]++
	}
	for _, n := range quarters {
		assert.InDelta(t, 1000, n, 150)
	}
	assert.NotEqual(t, b.phase(7, inputs, 1), b.phase(8, inputs, 1), "another seed")
	assert.NotEqual(t, b.phase(7, inputs, 1), b.phase(7, chat, 1), "another flow")
}

func TestRotaWithoutARateOrWithoutPlayersIsNeverDue(t *testing.T) {
	_, _, _, ok := newRota(newBeat(0), time.Hour, inputs, some(3, newBeat(0), 1)).next()
	assert.False(t, ok)
	_, _, _, ok = newRota(newBeat(1), time.Hour, inputs, nil).next()
	assert.False(t, ok)
}

func TestSenderCountsWhatItDidNotSend(t *testing.T) {
	b := newBeat(10)
	s := &swarm{base: time.Now(), beats: [flows]beat{inputs: b}, config: Config{Duration: time.Second}}
	players := some(4, b, 1)
	players[0].ended.Store(true)
	w := newSender(s, players)
	w.skip(int64(500 * time.Millisecond))
	assert.EqualValues(t, 3*5, w.unsent, "of those who have not ended")
	next, ok := w.send(0)
	require.True(t, ok)
	assert.Greater(t, next, int64(500*time.Millisecond))
	w.skip(int64(time.Hour))
	_, ok = w.send(0)
	assert.False(t, ok, "nothing is due after the end")
	assert.EqualValues(t, 3*10, w.unsent)
}

func TestAlarmsWakeInTimeAndCanBeStopped(t *testing.T) {
	for name, a := range map[string]alarm{"this system's": newAlarm(), "portable": newTimerAlarm()} {
		t.Run(name, func(t *testing.T) {
			defer a.close()
			stop := make(chan struct{})
			began := time.Now()
			require.True(t, a.wait(30*time.Millisecond, stop))
			assert.GreaterOrEqual(t, time.Since(began), 30*time.Millisecond)
			require.True(t, a.wait(-time.Second, stop), "what is past is due at once")
			time.AfterFunc(10*time.Millisecond, func() { close(stop) })
			began = time.Now()
			assert.False(t, a.wait(time.Hour, stop))
			assert.Less(t, time.Since(began), 10*time.Second)
			assert.False(t, a.wait(0, stop))
		})
	}
}
