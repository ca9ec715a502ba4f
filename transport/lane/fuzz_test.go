package lane_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"strait/proto/wire"
	"strait/transport/lane"
)

// outcome is everything that can be seen of a lane that was given a stream.
type outcome struct {
	told   []string
	reason string
	out    string
	taken  int // bytes of the stream
}

// run gives in to a new lane, in pieces of the sizes that size gives, by Feed or by
// Space and Advance. Every third message is refused twice.
func run(t *testing.T, in []byte, role lane.Role, async, feeding bool, size func() int) outcome {
	core, p := newLane(t, lane.Config{Role: role, MaxMessage: 20_000})
	refusals := map[int]int{}
	p.refuse = func(i int) bool {
		refusals[i]++
		return i%3 == 2 && refusals[i] <= 2
	}
	answer := p.hello
	asked := false
	if async {
		p.hello = func() { asked = true }
	}
	var o outcome
	step := func() (moved bool) {
		n := min(size(), len(in)-o.taken)
		if feeding {
			k, _ := core.Feed(in[o.taken:o.taken+n], t0)
			o.taken += k
			return k > 0
		}
		s := core.Space()
		n = copy(s, in[o.taken:o.taken+n])
		_ = core.Advance(n, t0)
		o.taken += n
		return n > 0
	}
	for stuck := 0; o.taken < len(in) && !core.Finished() && stuck < 100; {
		if step() {
			stuck = 0
			continue
		}
		// Whatever holds it up: the session's answer, refused messages, or PINGs.
		stuck++
		if asked {
			asked = false
			answer()
		}
		_ = core.Resume()
		o.out += string(fill(core))
	}
	for range 100 { // more than what is refused of a batch
		_ = core.Resume()
	}
	o.out += string(fill(core))
	o.told = p.told
	if p.reason != nil {
		o.reason = p.reason.Error()
		o.taken = 0 // how much was looked at behind the end says nothing
	}
	require.LessOrEqual(t, p.pool.Used(), int64(2*(len(in)+4096)+64*32), "more memory than has arrived")
	return o
}

// FuzzFeedAndSpace holds the two ways of reading to the same outcome, whatever
// arrives and however it is cut.
func FuzzFeedAndSpace(f *testing.F) {
	hello := frame(wire.ClientHello, 0, "hi")
	add := func(frames ...[]byte) {
		f.Add(join(frames...), uint64(1), false, false)
		f.Add(join(append([][]byte{hello}, frames...)...), uint64(2), false, false)
		f.Add(join(append([][]byte{hello}, frames...)...), uint64(3), false, true)
		f.Add(join(append([][]byte{frame(wire.ServerHello, 0, "hi")}, frames...)...), uint64(4), true, false)
	}
	var many, pings []byte
	for i := range 100 {
		many = append(many, frame(wire.Data, byte(i), fmt.Sprint(i))...)
		many = append(many, wire.AppendUnreliable(nil, byte(i), uint16(i), []byte("u"))...)
		pings = append(pings, pingFrame(byte(i))...)
	}
	closing := wire.AppendClose(nil, 8, "bye", 5)
	add()
	add(many)
	add(many, closing)
	add(many, frame(wire.Ack, 0, "a"), many, frame(0x7F, 0, ""))
	add(pings, many, pings, closing)
	add(frame(wire.Data, 0, string(make([]byte, 20_000))), closing, many)
	add(frame(wire.Data, 0, string(make([]byte, 20_001))))
	add(frame(wire.Ack, 0, "bad"))
	add(frame(0x80, 0, "?"), frame(wire.Close, 0, "\xff"))
	add(frame(wire.Data, 1, ""), frame(wire.Data, 1, ""), frame(wire.Data, 1, ""), closing)
	add(many[:len(many)-3])
	f.Fuzz(func(t *testing.T, in []byte, seed uint64, client, async bool) {
		role := lane.Gateway
		if client {
			role, async = lane.Client, false
		}
		in = bytes.Clone(in)
		r := rand.New(rand.NewPCG(seed, 0))
		small := func() int { return 1 + r.IntN(9) }
		mixed := func() int { return 1 + r.IntN(1+r.IntN(5000)) }
		whole := func() int { return len(in) }
		want := run(t, in, role, async, false, whole)
		same := func(got outcome, how string) {
			t.Helper()
			require.True(t, reflect.DeepEqual(want, got), "%s: %d told, %q, %d bytes written, %d taken; by Space %d, %q, %d, %d",
				how, len(got.told), got.reason, len(got.out), got.taken, len(want.told), want.reason, len(want.out), want.taken)
		}
		same(run(t, in, role, async, false, mixed), "Space, cut at random")
		same(run(t, in, role, async, true, whole), "Feed, all at once")
		same(run(t, in, role, async, true, mixed), "Feed, cut at random")
		if len(in) < 4096 {
			same(run(t, in, role, async, true, small), "Feed, cut small")
		}
	})
}
