package lane_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/proto/wire"
	"strait/transport"
	"strait/transport/lane"
)

const rel, unr = transport.Reliable, transport.Unreliable

func pingFrame(n byte) []byte { return frame(wire.Ping, 0, string([]byte{0, 0, 0, 0, 0, 0, 0, n})) }

func TestNothingIsPulledBeforeTheSessionIsOpen(t *testing.T) {
	core, p := newLane(t, lane.Config{})
	p.push(rel, 1, "early")
	core.Ping()
	require.Empty(t, fill(core))
	feed(t, core, frame(wire.ClientHello, 0, ""))
	hello, early := frame(wire.ServerHello, 0, "welcome"), frame(wire.Data, 1, "early")
	out := fill(core)
	require.Len(t, out, len(hello)+len(pingFrame(0))+len(early))
	assert.Equal(t, hello, out[:len(hello)])
	nonceOf(t, out[len(hello):len(out)-len(early)])
	assert.Equal(t, early, out[len(out)-len(early):])
}

func TestOrderOfWriting(t *testing.T) {
	core, p := gateway(t, lane.Config{})
	p.push(rel, 1, "a")
	p.push(unr, 2, "b")
	p.push(rel, 1, "")
	core.Control(transport.ControlGoAway, []byte("go"))
	feed(t, core, pingFrame(9))
	core.Close(transport.Because(transport.Kicked, "enough"))
	core.Control(transport.ControlGoAway, []byte("too late"))
	core.Ping() // a lane that is closing asks nothing
	out, done := fillAll(core, t0)
	require.True(t, done)
	want := join(frame(wire.GoAway, 0, "go"), wire.AppendPong(nil, [8]byte{7: 9}, 0),
		wire.AppendUnreliable(nil, 2, 0, []byte("b")), frame(wire.Data, 1, "a"), frame(wire.Data, 1, ""))
	require.Equal(t, want, out[:len(want)])
	code, text := closeFrame(t, out[len(want):])
	assert.Equal(t, transport.Kicked, code)
	assert.Equal(t, "enough", text)
	again, done := core.Fill(nil, 16384, t0)
	assert.True(t, done)
	assert.Empty(t, again)
}

func TestAReasonWithoutTextNamesItsCode(t *testing.T) {
	core, _ := gateway(t, lane.Config{})
	assert.False(t, core.Closing())
	core.Close(transport.Reason{Code: transport.Overloaded, RetryAfter: 1500 * time.Millisecond})
	assert.True(t, core.Closing())
	core.Close(transport.Reason{Code: transport.Internal})
	out := fill(core)
	code, text := closeFrame(t, out)
	assert.Equal(t, transport.Overloaded, code)
	assert.Equal(t, "OVERLOADED", text)
	_, _, retry, _ := wire.ParseClose(out[wire.HeaderLen:])
	assert.EqualValues(t, 1500, retry)
}

func TestTooSlowSendsNothingElse(t *testing.T) {
	core, p := gateway(t, lane.Config{})
	p.push(rel, 1, "a")
	core.Close(transport.Reason{Code: transport.TooSlow})
	code, _ := closeFrame(t, fill(core))
	assert.Equal(t, transport.TooSlow, code)
	assert.False(t, p.out.Empty())
}

// A message that was queued before Close goes before CLOSE, also when both come
// while the writer has just found the queue empty.
func TestCloseNeverOvertakesAMessage(t *testing.T) {
	core, p := gateway(t, lane.Config{})
	p.pulling = func() {
		p.push(rel, 1, "last")
		core.Close(transport.Because(transport.Kicked, "enough"))
	}
	out, done := fillAll(core, t0)
	if !done { // the wake that Close is followed by
		var more []byte
		more, done = fillAll(core, t0)
		out = append(out, more...)
	}
	require.True(t, done)
	want := frame(wire.Data, 1, "last")
	require.Equal(t, want, out[:min(len(out), len(want))])
	closeFrame(t, out[len(want):])
}

func TestControlAfterCloseOpensNothing(t *testing.T) {
	core, p := newLane(t, lane.Config{})
	p.hello = func() {
		core.Close(transport.Because(transport.AuthFailed, "no"))
		core.Control(transport.ControlServerHello, nil)
	}
	p.push(rel, 1, "secret")
	feed(t, core, frame(wire.ClientHello, 0, ""))
	assert.False(t, core.Opened())
	code, _ := closeFrame(t, fill(core))
	assert.Equal(t, transport.AuthFailed, code)
}

func TestFillKeepsToItsLimit(t *testing.T) {
	core, p := gateway(t, lane.Config{})
	for range 2000 {
		p.push(rel, 1, strings.Repeat("r", 20))
		p.push(unr, 2, "latest")
	}
	p.push(rel, 1, strings.Repeat("R", 50_000))
	total, calls, longest := 0, 0, 0
	for {
		out, _ := core.Fill(nil, 16384, t0)
		if len(out) == 0 {
			break
		}
		total += len(out)
		calls++
		longest = max(longest, len(out))
		if len(out) > 16384 {
			require.Equal(t, wire.HeaderLen+50_000, len(out), "the long one goes alone")
		}
	}
	assert.Equal(t, 2000*(6+20)+8+6+6+50_000, total)
	assert.LessOrEqual(t, calls, 4+1+1, "records are filled")
	assert.Equal(t, 50_006, longest)
}

// A lane with more to do than it can shares what it has between the classes.
func TestNeitherClassStarves(t *testing.T) {
	core, p := gateway(t, lane.Config{})
	p.out.SetDatagrams(true)
	for range 500 {
		p.push(rel, 1, strings.Repeat("r", 100))
		p.push(unr, 2, strings.Repeat("u", 50))
	}
	out, _ := core.Fill(nil, 8192, t0)
	assert.Greater(t, strings.Count(string(out), strings.Repeat("r", 100)), 20)
	assert.Greater(t, strings.Count(string(out), strings.Repeat("u", 50)), 20)
	assert.LessOrEqual(t, len(out), 8192)
}

func TestPongTellsItsDelay(t *testing.T) {
	core, _ := gateway(t, lane.Config{})
	assert.False(t, core.Owes())
	_, err := core.Feed(pingFrame(1), t0)
	require.NoError(t, err)
	_, err = core.Feed(pingFrame(2), t0.Add(time.Millisecond))
	require.NoError(t, err)
	assert.True(t, core.Owes())
	out, _ := core.Fill(nil, 16384, t0.Add(3*time.Millisecond))
	assert.Equal(t, join(wire.AppendPong(nil, [8]byte{7: 1}, 3000), wire.AppendPong(nil, [8]byte{7: 2}, 2000)), out)
	assert.False(t, core.Owes())

	_, err = core.Feed(pingFrame(3), t0)
	require.NoError(t, err)
	out, _ = core.Fill(nil, 16384, t0.Add(-time.Second)) // a clock that was set back
	assert.Equal(t, wire.AppendPong(nil, [8]byte{7: 3}, 0), out)
	_, err = core.Feed(pingFrame(4), t0)
	require.NoError(t, err)
	out, _ = core.Fill(nil, 16384, t0.Add(100*time.Hour))
	assert.Equal(t, wire.AppendPong(nil, [8]byte{7: 4}, 1<<32-1), out)
}

func TestPingsThatNobodyReadsHoldReadingUp(t *testing.T) {
	resumed := 0
	core, _ := gateway(t, lane.Config{Resume: func() { resumed++ }})
	var all []byte
	for i := range 100 {
		all = append(all, pingFrame(byte(i))...)
	}
	n, err := core.Feed(all, t0)
	require.NoError(t, err)
	require.Equal(t, 64*14, n)
	require.Nil(t, core.Space())
	require.Zero(t, resumed)
	require.Len(t, fill(core), 64*18)
	require.Equal(t, 1, resumed)
	feed(t, core, all[n:])
	require.Len(t, fill(core), 36*18)
	require.Equal(t, 1, resumed)

	_, err = core.Feed(all, t0)
	require.NoError(t, err)
	core.Close(transport.Reason{Code: transport.Kicked})
	assert.NotNil(t, core.Space(), "at the end nothing waits for answers")
}

// nonceOf is what a PING carries that is all there is in out.
func nonceOf(t *testing.T, out []byte) [8]byte {
	t.Helper()
	require.Len(t, out, wire.HeaderLen+8)
	nonce := [8]byte(out[wire.HeaderLen:])
	require.Equal(t, frame(wire.Ping, 0, string(nonce[:])), out)
	return nonce
}

// PONGs are handed on for those who queued PINGs of their own.
func TestPongsAreHandedOn(t *testing.T) {
	var got []string
	core, _ := gateway(t, lane.Config{Pong: func(b []byte, now time.Time) { got = append(got, fmt.Sprintf("%x %v", b, now.Sub(t0))) }})
	_, err := core.Feed(wire.AppendPong(nil, [8]byte{7: 9}, 5), t0.Add(time.Second))
	require.NoError(t, err)
	require.Equal(t, []string{"000000000000000900000005 1s"}, got)
}

func TestRoundTripTime(t *testing.T) {
	core, _ := gateway(t, lane.Config{})
	at := func(ms int) time.Time { return t0.Add(time.Duration(ms) * time.Millisecond) }
	probe := func(sent, heard int, delay uint32) (nonce [8]byte) {
		t.Helper()
		core.Ping()
		out, _ := core.Fill(nil, 16384, at(sent))
		nonce = nonceOf(t, out)
		_, err := core.Feed(wire.AppendPong(nil, nonce, delay), at(heard))
		require.NoError(t, err)
		return nonce
	}
	first := probe(0, 100, 20_000)
	assert.Equal(t, 80*time.Millisecond, core.Path().RTT)
	assert.Equal(t, 40*time.Millisecond, core.Path().Jitter)
	second := probe(1000, 1160, 0)
	assert.Equal(t, 90*time.Millisecond, core.Path().RTT)    // 7/8·80 + 1/8·160
	assert.Equal(t, 50*time.Millisecond, core.Path().Jitter) // 3/4·40 + 1/4·80
	third := probe(2000, 2001, 90_000)                       // more delay than there was time
	assert.Equal(t, 78750*time.Microsecond, core.Path().RTT) // as a sample of 0

	before := core.Path()
	_, err := core.Feed(wire.AppendPong(nil, third, 0), at(9000))
	require.NoError(t, err)
	_, err = core.Feed(wire.AppendPong(nil, [8]byte{7: 200}, 0), at(9000))
	require.NoError(t, err)
	assert.Equal(t, before.RTT, core.Path().RTT, "answers that nobody waits for")
	assert.Len(t, map[[8]byte]bool{first: true, second: true, third: true}, 3, "who did not get the PING cannot know its number")
}

func TestOnePingAtATime(t *testing.T) {
	core, _ := gateway(t, lane.Config{})
	core.Ping()
	core.Ping()
	first := nonceOf(t, fill(core))
	core.Ping()
	require.Empty(t, fill(core))
	core.Ping()
	out, _ := fillAll(core, t0.Add(6*time.Second))
	require.NotEqual(t, first, nonceOf(t, out), "the first one's answer is not coming")
	_, err := core.Feed(wire.AppendPong(nil, first, 0), t0.Add(7*time.Second))
	require.NoError(t, err)
	assert.Zero(t, core.Path().RTT)
}

func TestIdleGivesMemoryBack(t *testing.T) {
	core, p := gateway(t, lane.Config{})
	for i := range 1000 {
		p.push(rel, 1, fmt.Sprint(i))
	}
	fill(core)
	core.Idle()
	p.push(rel, 1, "and on")
	assert.Equal(t, frame(wire.Data, 1, "and on"), fill(core))
}
