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

func TestGatewayReads(t *testing.T) {
	const hello, ack = wire.ClientHello, wire.Ack
	for _, c := range []struct {
		name string
		in   []byte
		told []string
		code transport.Code // of the error; Normal without one
		says string
	}{
		{"opening and messages", join(frame(hello, 0, "hi"), frame(wire.Data, 3, "a"), frame(wire.Data, 0, ""),
			wire.AppendUnreliable(nil, 9, 65535, []byte("b"))),
			[]string{"hello hi", "reliable 3 #0 a", "reliable 0 #0 ", "unreliable 9 #65535 b"}, 0, ""},
		{"skips the unknown", join(frame(hello, 0, ""), frame(0x80, 1, "?"), frame(0xFF, 0, ""), frame(wire.Data, 1, "a")),
			[]string{"hello ", "reliable 1 #0 a"}, 0, ""},
		{"skips the unknown before the hello", join(frame(0x99, 0, "?"), frame(hello, 0, "")), []string{"hello "}, 0, ""},
		{"acks", join(frame(hello, 0, ""), frame(wire.Data, 1, "a"), frame(ack, 0, "1"), frame(wire.Data, 1, "b")),
			[]string{"hello ", "reliable 1 #0 a", "control 7 1", "reliable 1 #0 b"}, 0, ""},
		{"refused control frame", join(frame(hello, 0, ""), frame(ack, 0, "bad"), frame(wire.Data, 1, "never")),
			[]string{"hello ", "control 7 bad"}, transport.ProtocolError, "control frame refused"},
		{"message first", frame(wire.Data, 0, "a"), nil, transport.ProtocolError, "DATA before CLIENT_HELLO"},
		{"close first", wire.AppendClose(nil, 0, "bye", 0), nil, transport.ProtocolError, "CLOSE before CLIENT_HELLO"},
		{"hello twice", join(frame(hello, 0, ""), frame(hello, 0, "")), []string{"hello "}, transport.ProtocolError, "a second CLIENT_HELLO"},
		{"wrong direction", join(frame(hello, 0, ""), frame(wire.GoAway, 0, "")), []string{"hello "}, transport.ProtocolError, "GOAWAY"},
		{"above the limit", join(frame(hello, 0, ""), wire.AppendHeader(nil, wire.Header{Type: wire.Data, Length: wire.MinMaxMessage + 1})),
			[]string{"hello "}, transport.ProtocolError, "16384"},
	} {
		t.Run(c.name, func(t *testing.T) {
			core, p := newLane(t, lane.Config{})
			_, err := core.Feed(c.in, t0)
			assert.Equal(t, c.told, p.told)
			if c.says == "" {
				require.NoError(t, err)
				assert.False(t, core.Finished())
				return
			}
			require.ErrorIs(t, err, c.code)
			require.Equal(t, err, *p.reason)
			assert.True(t, core.Finished())
			assert.True(t, core.Owes())
			assert.Nil(t, core.Space())
			out := fill(core)
			if len(c.told) > 0 {
				out = out[len(frame(wire.ServerHello, 0, "welcome")):]
			}
			code, text := closeFrame(t, out)
			assert.Equal(t, c.code, code)
			assert.Contains(t, text, c.says)
			n, err := core.Feed([]byte("more"), t0)
			assert.NoError(t, err)
			assert.Zero(t, n)
			assert.NoError(t, core.Advance(4, t0))
		})
	}
}

func TestClientReads(t *testing.T) {
	const hello = wire.ServerHello
	for _, c := range []struct {
		name string
		in   []byte
		told []string
		code transport.Code
		says string
	}{
		{"opening and messages", join(frame(hello, 0, "hi"), frame(wire.Data, 3, "a"), frame(wire.UDPOffer, 0, "o"), frame(wire.GoAway, 0, "g")),
			[]string{"hello hi", "reliable 3 #0 a", "control 8 o", "control 9 g"}, 0, ""},
		{"message first", frame(wire.Data, 0, "a"), nil, transport.ProtocolError, "DATA before SERVER_HELLO"},
		{"hello twice", join(frame(hello, 0, ""), frame(hello, 0, "")), []string{"hello "}, transport.ProtocolError, "a second SERVER_HELLO"},
		{"wrong direction", frame(wire.ClientHello, 0, ""), nil, transport.ProtocolError, "CLIENT_HELLO"},
	} {
		t.Run(c.name, func(t *testing.T) {
			core, p := newLane(t, lane.Config{Role: lane.Client})
			_, err := core.Feed(c.in, t0)
			assert.Equal(t, c.told, p.told)
			if c.says == "" {
				require.NoError(t, err)
				assert.True(t, core.Opened())
				return
			}
			require.ErrorIs(t, err, c.code)
			assert.ErrorContains(t, err, c.says)
		})
	}
}

func TestClientIsRefused(t *testing.T) {
	core, p := newLane(t, lane.Config{Role: lane.Client})
	core.ClientHello([]byte("hi"))
	assert.Equal(t, frame(wire.ClientHello, 0, "hi"), fill(core))
	feed(t, core, wire.AppendClose(nil, uint32(transport.Overloaded), "later", 2000))
	assert.Equal(t, transport.Reason{Code: transport.Overloaded, Text: "later", RetryAfter: 2 * time.Second, Remote: true}, *p.reason)
	assert.False(t, core.Opened())
	code, _ := closeFrame(t, fill(core))
	assert.Equal(t, transport.Normal, code)
}

func TestClientMayRaiseTheLimit(t *testing.T) {
	core, p := newLane(t, lane.Config{Role: lane.Client})
	p.hello = func() { core.SetMaxMessage(70000) }
	feed(t, core, join(frame(wire.ServerHello, 0, ""), frame(wire.Data, 1, strings.Repeat("x", 70000))))
	_, err := core.Feed(wire.AppendHeader(nil, wire.Header{Type: wire.Data, Length: 70001}), t0)
	require.ErrorIs(t, err, transport.ProtocolError)
}

func TestNothingIsReadBeforeTheAnswer(t *testing.T) {
	core, p := newLane(t, lane.Config{})
	p.hello = func() {}
	early := frame(wire.Data, 1, "early")
	n, err := core.Feed(join(frame(wire.ClientHello, 0, "hi"), early), t0)
	require.NoError(t, err)
	assert.Equal(t, wire.HeaderLen+2, n)
	assert.Nil(t, core.Space())
	core.Control(transport.ControlServerHello, nil)
	assert.NotNil(t, core.Space())
	feed(t, core, early)
	assert.Equal(t, []string{"hello hi", "reliable 1 #0 early"}, p.told)
}

// Space never asks for more than the frame at hand, and a header claims no memory
// beyond the first piece.
func TestSpaceGrowsWithWhatArrives(t *testing.T) {
	core, p := gateway(t, lane.Config{MaxMessage: 1 << 20})
	advance := func(n int) {
		t.Helper()
		require.GreaterOrEqual(t, len(core.Space()), n)
		require.NoError(t, core.Advance(n, t0))
	}
	require.Len(t, core.Space(), wire.HeaderLen)
	copy(core.Space(), wire.AppendHeader(nil, wire.Header{Type: wire.Data, Length: 100_000}))
	advance(2)
	require.Len(t, core.Space(), wire.HeaderLen-2)
	advance(wire.HeaderLen - 2)
	for got := 0; got < 100_000; {
		require.LessOrEqual(t, p.pool.Used(), int64(max(4096, 4*got)), "after %d bytes", got)
		n := min(len(core.Space()), 1000)
		require.LessOrEqual(t, n, 100_000-got)
		advance(n)
		got += n
	}
	require.Len(t, p.told, 1)
	require.Len(t, core.Space(), wire.HeaderLen)
	require.Zero(t, p.pool.Live())
}

func TestEmptyReadsChangeNothing(t *testing.T) {
	core, p := gateway(t, lane.Config{})
	require.NoError(t, core.Advance(0, t0))
	require.NoError(t, core.Advance(-1, t0))
	feed(t, core, nil)
	require.Empty(t, p.told)
}

func TestRefusedMessagesWait(t *testing.T) {
	core, p := gateway(t, lane.Config{})
	refuse := true
	p.refuse = func(i int) bool { return refuse && i >= 2 }
	var all []byte
	for i := range 100 {
		all = append(all, frame(wire.Data, 1, fmt.Sprint(i))...)
	}
	all = append(all, frame(wire.Ack, 0, "x")...)
	all = wire.AppendClose(all, 0, "bye", 0)
	n, err := core.Feed(all, t0)
	require.NoError(t, err)
	require.Less(t, n, len(all), "no more than a batch is taken on")
	require.Len(t, p.told, 2)
	require.Nil(t, core.Space())
	require.NoError(t, core.Resume())
	require.Nil(t, core.Space())
	require.Equal(t, 0, must(core.Feed(all[n:], t0)))

	refuse = false
	require.NoError(t, core.Resume())
	for rest := all[n:]; len(rest) > 0; {
		rest = rest[must(core.Feed(rest, t0)):]
	}
	require.Len(t, p.told, 101)
	for i := range 100 {
		assert.Equal(t, fmt.Sprintf("reliable 1 #0 %d", i), p.told[i])
	}
	assert.Equal(t, "control 7 x", p.told[100])
	assert.Equal(t, transport.Reason{Text: "bye", Remote: true}, *p.reason)
}

func must(n int, err error) int {
	if err != nil {
		panic(err)
	}
	return n
}

// What comes right behind a refused message waits for it, whatever it is.
func TestFramesBehindARefusedMessageWait(t *testing.T) {
	for name, c := range map[string]struct {
		frame []byte
		told  []string
		code  transport.Code
	}{
		"CLOSE":       {wire.AppendClose(nil, uint32(transport.Kicked), "bye", 0), nil, transport.Kicked},
		"a bad CLOSE": {frame(wire.Close, 0, "\xff"), nil, transport.ProtocolError},
		"a breach":    {frame(0x7F, 0, ""), nil, transport.ProtocolError},
		"a control":   {frame(wire.Ack, 0, "x"), []string{"control 7 x"}, 0},
		"a bad one":   {frame(wire.Ack, 0, "bad"), []string{"control 7 bad"}, transport.ProtocolError},
	} {
		for _, ended := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ended), func(t *testing.T) {
				core, p := gateway(t, lane.Config{})
				refuse := true
				p.refuse = func(int) bool { return refuse }
				n, err := core.Feed(join(frame(wire.Data, 1, "a"), c.frame, frame(wire.Data, 1, "b")), t0)
				require.NoError(t, err)
				require.GreaterOrEqual(t, n, wire.HeaderLen+1+wire.HeaderLen)
				require.Empty(t, p.told)
				require.Nil(t, p.reason)
				refuse = false
				if ended {
					core.End(transport.Reason{Lost: true})
					require.Equal(t, []string{"reliable 1 #0 a"}, p.told)
					require.True(t, p.reason.Lost)
					return
				}
				err = core.Resume()
				require.Equal(t, append([]string{"reliable 1 #0 a"}, c.told...), p.told)
				if c.code == transport.ProtocolError {
					require.ErrorIs(t, err, c.code)
				} else {
					require.NoError(t, err)
				}
				if c.code != 0 {
					require.Equal(t, c.code, p.reason.Code)
				}
			})
		}
	}
}

func TestEndOffersWhatIsLeft(t *testing.T) {
	core, p := gateway(t, lane.Config{})
	p.refuse = func(i int) bool { return i == 1 }
	_, err := core.Feed(join(frame(wire.Data, 1, "a"), frame(wire.Data, 1, "b"), frame(wire.Data, 1, "c")), t0)
	require.NoError(t, err)
	p.refuse = func(i int) bool { return i == 2 }
	core.End(transport.Reason{Code: transport.Kicked})
	core.End(transport.Reason{Code: transport.Internal})
	assert.Equal(t, []string{"reliable 1 #0 a", "reliable 1 #0 b"}, p.told)
	assert.Equal(t, transport.Kicked, p.reason.Code)
}

func TestPathKnowsWhatIsPartial(t *testing.T) {
	core, _ := newLane(t, lane.Config{})
	assert.Zero(t, core.Path())
	at := func(s int) time.Time { return t0.Add(time.Duration(s) * time.Second) }
	advance := func(b []byte, now time.Time) {
		t.Helper()
		for len(b) > 0 {
			n := copy(core.Space(), b)
			require.NoError(t, core.Advance(n, now))
			b = b[n:]
		}
	}
	hello := frame(wire.ClientHello, 0, "hi")
	advance(hello[:3], at(1))
	assert.Equal(t, at(1), core.Path().PartialSince)
	assert.Zero(t, core.Path().Heard)
	advance(hello[3:7], at(2))
	assert.Equal(t, at(1), core.Path().PartialSince)
	assert.Equal(t, 2, core.Path().Buffered)
	advance(hello[7:], at(3))
	assert.Equal(t, transport.Path{Heard: at(3)}, core.Path())

	whole := frame(wire.Data, 1, "whole")
	_, err := core.Feed(append(whole, whole[:2]...), at(4))
	require.NoError(t, err)
	assert.Equal(t, transport.Path{Heard: at(4), PartialSince: at(4)}, core.Path())
	_, err = core.Feed(append(whole[2:], whole[:8]...), at(5))
	require.NoError(t, err)
	assert.Equal(t, transport.Path{Heard: at(5), PartialSince: at(5), Buffered: 5}, core.Path())
	_, err = core.Feed(whole[8:], at(6))
	require.NoError(t, err)
	_, err = core.Feed(wire.AppendClose(nil, 0, "bye", 0), at(7))
	require.NoError(t, err)
	assert.Equal(t, transport.Path{Heard: at(7)}, core.Path())
}

func TestAFrameThatNeverEndsIsForgottenWithTheLane(t *testing.T) {
	core, _ := gateway(t, lane.Config{})
	feed(t, core, frame(wire.Data, 1, "whole")[:8])
	require.Positive(t, core.Path().Buffered)
	core.End(transport.Reason{Lost: true})
	assert.Zero(t, core.Path().Buffered)
	assert.Zero(t, core.Path().PartialSince)
}
