package udp

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// quiet is a corker that notes how often a tick woke the wheel.
type quiet struct{ ticks int }

func (q *quiet) Cork()   { q.ticks++ }
func (q *quiet) Uncork() {}

// stones are lanes whose expire releases their slot in the table.
func stones(w *wheel, n int) (*table, []*Lane) {
	tb := newTable(n)
	sv := &Service{table: tb, wheel: w}
	var all []*Lane
	for range n {
		id, _ := tb.reserve(0)
		l := &Lane{service: sv, id: id}
		tb.put(l)
		all = append(all, l)
	}
	return tb, all
}

func TestWheel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &quiet{}
		w := newWheel(q, time.Now)
		stop, ended := make(chan struct{}), make(chan struct{})
		go func() { w.run(stop); close(ended) }()
		after := []time.Duration{
			0, time.Millisecond, 24 * time.Millisecond, 25 * time.Millisecond, 26 * time.Millisecond, time.Second,
			wheelSlots*wheelTick - 1, 3 * time.Second,
		}
		time.Sleep(time.Hour) // nobody counts meanwhile
		synctest.Wait()
		require.Zero(t, q.ticks, "an empty wheel sleeps")
		tb, ls := stones(w, len(after))
		start := time.Now()
		for i, d := range after {
			w.by(ls[i], start.Add(d+time.Minute))
			w.by(ls[i], start.Add(d)) // the earlier one counts
			w.by(ls[i], start.Add(time.Hour))
			w.by(ls[i], time.Time{})
		}
		done := make(map[int]bool)
		for len(done) < len(after) {
			require.Less(t, time.Since(start), time.Minute)
			time.Sleep(time.Millisecond)
			synctest.Wait()
			for i, d := range after {
				if done[i] || tb.find(ls[i].id) != nil {
					continue
				}
				done[i] = true
				late := time.Since(start) - d
				require.GreaterOrEqual(t, late, time.Duration(0), "%v", d)
				require.LessOrEqual(t, late, wheelTick+2*time.Millisecond, "%v", d)
			}
		}
		n := q.ticks
		time.Sleep(time.Hour)
		synctest.Wait()
		require.Equal(t, n, q.ticks)

		tb, ls = stones(w, 1)
		w.by(ls[0], time.Now().Add(time.Second))
		w.remove(ls[0])
		w.remove(ls[0])
		time.Sleep(time.Hour)
		synctest.Wait()
		require.NotNil(t, tb.find(ls[0].id), "who was removed is not called")
		close(stop)
		<-ended
	})
}

// A deadline beyond what the wheel sees is looked at on the way.
func TestWheelSeesNoFurther(t *testing.T) {
	w := newWheel(&quiet{}, time.Now)
	_, ls := stones(w, 1)
	w.by(ls[0], time.Now().Add(time.Hour))
	got, pause := w.due(nil, time.Now().Add((wheelSlots+1)*wheelTick))
	require.Equal(t, ls, got)
	require.Negative(t, pause)
}
