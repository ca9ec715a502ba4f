package batch_test

import (
	"io"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"

	"strait/proto/batch"
	"strait/proto/straitv1"
)

// field writes a field of bytes.
func field(num protowire.Number, parts ...[]byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), slices.Concat(parts...))
}

// number writes a field of a varint.
func number(num protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, num, protowire.VarintType), v)
}

func commands(t *testing.T, src []byte) []batch.Command {
	t.Helper()
	var r batch.LogicReader
	compareLogic(t, &r, src)
	r.Reset(src)
	var out []batch.Command
	for {
		cmd, ok, err := r.Next()
		require.NoError(t, err)
		if !ok {
			return out
		}
		c := *cmd
		c.Sessions, c.Except = slices.Clone(c.Sessions), slices.Clone(c.Except)
		out = append(out, c)
	}
}

func TestZeroReadersAreEmptyBatches(t *testing.T) {
	var l batch.LogicReader
	_, ok, err := l.Next()
	require.False(t, ok)
	require.NoError(t, err)
	var g batch.GatewayReader
	_, ok, err = g.Next()
	require.False(t, ok)
	require.NoError(t, err)
}

// A bad last command keeps the good ones before it from being seen.
func TestBadBatchShowsBeforeItsFirstCommand(t *testing.T) {
	good := batch.AppendSendOne(batch.AppendPong(nil, 5), 1, 2, false, []byte("x"))
	src := append(slices.Clone(good), field(2, field(5, field(1, []byte("\xff"))))...)
	var r batch.LogicReader
	r.Reset(good)
	require.NoError(t, r.Err())
	r.Reset(src)
	for range 2 {
		cmd, ok, err := r.Next()
		require.Nil(t, cmd)
		require.False(t, ok)
		require.EqualError(t, err, "LogicBatch.commands[1].publish.group does not parse: text is not UTF-8")
	}
	require.Zero(t, r.Pong())

	r.Reset(good)
	cmd, ok, err := r.Next()
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, "x", string(cmd.Payload))
	require.EqualValues(t, 5, r.Pong())
}

func TestMalformedSaysWhere(t *testing.T) {
	for _, c := range []struct {
		src  []byte
		path string
		is   error
	}{
		{[]byte{0x12, 5, 1}, "LogicBatch", io.ErrUnexpectedEOF},
		{[]byte{0x00}, "LogicBatch", nil},
		{[]byte{0x14}, "LogicBatch", nil}, // end of a group that has not begun
		{append(protowire.AppendVarint(nil, (1<<29)<<3), 0), "LogicBatch", nil},
		{field(1, field(2, []byte("\xff"))), "LogicBatch.hello", nil},
		{field(2, []byte{0x0A}), "LogicBatch.commands[0]", io.ErrUnexpectedEOF},
		{field(2, field(1, []byte{0x20})), "LogicBatch.commands[0].send", io.ErrUnexpectedEOF},
		{field(2, field(1, field(1, []byte{1, 0x80}))), "LogicBatch.commands[0].send.sessions", io.ErrUnexpectedEOF},
		{field(2, field(2, field(3, []byte{0xFF}))), "LogicBatch.commands[0].close.reason", nil},
		{slices.Concat(field(2), field(2, field(3, field(1, []byte{0xFF})))), "LogicBatch.commands[1].join.group", nil},
		{field(2, field(4, field(2, []byte{0x80}))), "LogicBatch.commands[0].leave.sessions", nil},
		{field(2, field(6, field(2, []byte{0xFF}))), "LogicBatch.commands[0].move.route", nil},
	} {
		var r batch.LogicReader
		require.False(t, compareLogic(t, &r, c.src), "%x", c.src)
		var e *batch.MalformedError
		require.ErrorAs(t, r.Err(), &e)
		assert.Equal(t, c.path, e.Path)
		if c.is != nil {
			assert.ErrorIs(t, e, c.is)
		}
	}
	var g batch.GatewayReader
	require.False(t, compareGateway(t, &g, field(2, field(2, field(3, field(2, []byte{0xFF}))))))
	require.EqualError(t, g.Err(), "GatewayBatch.events[0].opened.claims.value does not parse: text is not UTF-8")
	require.False(t, compareGateway(t, &g, field(1, field(2, []byte{0xFF}))))
	require.ErrorContains(t, g.Err(), "GatewayBatch.hello ")
	require.False(t, compareGateway(t, &g, []byte{0x18}))
	require.ErrorContains(t, g.Err(), "GatewayBatch ")
}

func TestBatchAboveTheLimit(t *testing.T) {
	src := field(15, make([]byte, batch.MaxBatch-5))
	require.Len(t, src, batch.MaxBatch)
	var l batch.LogicReader
	var g batch.GatewayReader
	l.Reset(src)
	require.NoError(t, l.Err())
	g.Reset(src)
	require.NoError(t, g.Err())

	src = field(15, make([]byte, batch.MaxBatch-4))
	l.Reset(src)
	g.Reset(src)
	for _, err := range []error{l.Err(), g.Err()} {
		var e *batch.SizeError
		require.ErrorAs(t, err, &e)
		require.EqualValues(t, batch.MaxBatch+1, e.Size)
	}
}

func TestOneofLastMemberWins(t *testing.T) {
	got := commands(t, field(2,
		field(1, number(1, 5), number(2, 6), field(4, []byte("gone"))),
		field(6, number(1, 9), field(2, []byte("lobby")))))
	require.Len(t, got, 1)
	assert.Equal(t, batch.CommandMove, got[0].Kind)
	assert.EqualValues(t, 9, got[0].Session)
	assert.Equal(t, "lobby", string(got[0].Route))
	assert.Empty(t, got[0].Sessions)
	assert.Empty(t, got[0].Payload)
	assert.Zero(t, got[0].Channel)
}

func TestOneofSameMemberMerges(t *testing.T) {
	got := commands(t, field(2,
		field(1, number(1, 5), number(2, 6), number(3, 1), field(4, []byte("old"))),
		field(1, field(1, []byte{7, 8}), number(3, 0), field(4, []byte("new")))))
	require.Len(t, got, 1)
	assert.Equal(t, []uint64{5, 7, 8}, got[0].Sessions)
	assert.EqualValues(t, 6, got[0].Channel)
	assert.False(t, got[0].Unreliable)
	assert.Equal(t, "new", string(got[0].Payload))
}

func TestOneofMemberIsFreshAfterAnother(t *testing.T) {
	src := field(2, number(1, 4),
		field(2, field(2, []byte("first"))), field(4, number(1, 3)), field(2, field(6, []byte("second"))))
	var r batch.GatewayReader
	require.True(t, compareGateway(t, &r, src))
	r.Reset(src)
	ev, ok, err := r.Next()
	require.NoError(t, err)
	require.True(t, ok)
	assert.Equal(t, batch.EventOpened, ev.Kind)
	assert.EqualValues(t, 4, ev.Session)
	assert.Empty(t, ev.Opened.GetSubject())
	assert.Equal(t, "second", ev.Opened.GetRoute())
	assert.Zero(t, ev.Code)
}

func TestUnknownCommandsAreSeenAsNone(t *testing.T) {
	got := commands(t, slices.Concat(field(2), field(2, field(7, []byte("later"))), field(2, number(1, 5)), field(9)))
	require.Len(t, got, 3)
	for _, c := range got {
		assert.Equal(t, batch.CommandNone, c.Kind)
	}
}

// What game logic got wrong without breaking protobuf is for the caller to see.
func TestAbsurdValuesAreVisible(t *testing.T) {
	src := batch.AppendSendOne(nil, 1, 999, false, nil)
	src = batch.AppendCloseSession(src, 1, 1<<31, "")
	src = append(src, field(2, field(5, number(3, 1<<32|7)))...)
	src = append(src, field(2, field(1, number(3, 1<<64-1)))...)
	got := commands(t, src)
	require.Len(t, got, 4)
	assert.EqualValues(t, 999, got[0].Channel)
	assert.EqualValues(t, 1<<31, got[1].Code)
	assert.EqualValues(t, 7, got[2].Delivery)
	assert.False(t, got[2].Unreliable)
	assert.EqualValues(t, -1, got[3].Delivery)
	assert.False(t, got[3].Unreliable)
}

func TestSlicesBorrowAndCannotGrowIntoTheBatch(t *testing.T) {
	src := batch.AppendPublish(nil, "abc", 1, false, []byte("payload"), []uint64{1})
	src = batch.AppendMove(src, 1, "route")
	before := slices.Clone(src)
	var r batch.LogicReader
	r.Reset(src)
	cmd, _, err := r.Next()
	require.NoError(t, err)
	_ = append(cmd.Group, "!!!!"...)
	_ = append(cmd.Payload, "!!!!"...)
	require.Equal(t, before, src)
	cmd.Payload[0] = 'P'
	require.NotEqual(t, before, src)
}

func TestHellosAndNumbers(t *testing.T) {
	src, err := batch.AppendLogicHello(nil, &straitv1.LogicHello{Version: 1, Routes: []string{"a"}})
	require.NoError(t, err)
	src, err = batch.AppendLogicHello(src, &straitv1.LogicHello{Name: "n", Routes: []string{"b"}, Draining: true})
	require.NoError(t, err)
	src = batch.AppendAcked(batch.AppendPong(batch.AppendPong(src, 3), 4), 5)
	var r batch.LogicReader
	require.True(t, compareLogic(t, &r, src))
	assert.EqualValues(t, 1, r.Hello().GetVersion())
	assert.Equal(t, []string{"a", "b"}, r.Hello().GetRoutes())
	assert.True(t, r.Hello().GetDraining())
	assert.EqualValues(t, 4, r.Pong())
	assert.EqualValues(t, 5, r.Acked())

	r.Reset(nil)
	assert.Nil(t, r.Hello())
	assert.Zero(t, r.Pong())
	assert.Zero(t, r.Acked())
}

// A list in a million pieces takes time in proportion, not its square.
func TestManySmallPieces(t *testing.T) {
	n := 1 << 20
	if testing.Short() {
		n = 1 << 15
	}
	piece := field(1, []byte{7})
	var pieces []byte
	for range n {
		pieces = append(pieces, piece...)
	}
	var r batch.LogicReader
	r.Reset(field(2, field(1, pieces)))
	cmd, ok, err := r.Next()
	require.NoError(t, err)
	require.True(t, ok)
	require.Len(t, cmd.Sessions, n)

	// The memory of an unusually large list is not kept.
	r.Reset(batch.AppendSendOne(nil, 1, 2, false, nil))
	cmd, ok, err = r.Next()
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, []uint64{1}, cmd.Sessions)
	require.LessOrEqual(t, cap(cmd.Sessions), 1<<14)
}

func TestReadingDoesNotAllocate(t *testing.T) {
	ids := make([]uint64, 500)
	for i := range ids {
		ids[i] = uint64(i) << 10
	}
	var src []byte
	for range 20 {
		src = batch.AppendSendOne(src, 1<<40, 1, true, make([]byte, 64))
		src = batch.AppendPublish(src, "arena", 2, true, make([]byte, 300), ids)
		src = batch.AppendJoin(src, "arena", ids)
		src = batch.AppendCloseSession(src, 1, 8, "kicked")
		src = batch.AppendMove(src, 1, "lobby")
	}
	src = batch.AppendAcked(batch.AppendPong(src, 7), 9)
	var l batch.LogicReader
	require.Zero(t, testing.AllocsPerRun(50, func() {
		l.Reset(src)
		n := 0
		for _, ok, _ := l.Next(); ok; _, ok, _ = l.Next() {
			n++
		}
		if n != 100 {
			t.Errorf("%d commands of 100", n)
		}
	}))

	src = src[:0]
	for range 50 {
		src = batch.AppendMessage(src, 1<<40, 1, true, 7, make([]byte, 64))
		src = batch.AppendClosed(src, 1<<40, 1, "bye")
	}
	var g batch.GatewayReader
	require.Zero(t, testing.AllocsPerRun(50, func() {
		g.Reset(src)
		n := 0
		for _, ok, _ := g.Next(); ok; _, ok, _ = g.Next() {
			n++
		}
		if n != 100 {
			t.Errorf("%d events of 100", n)
		}
	}))
}

// A batch that changes under the reader is a bug of the caller, but no panic.
func TestChangedBatchDoesNotPanic(t *testing.T) {
	src, want := appendLogic(t, 300, 4, true, "arena", []byte("payload"))
	for i := range src {
		changed := slices.Clone(src)
		var r batch.LogicReader
		r.Reset(changed)
		require.NoError(t, r.Err())
		for j := i; j < len(changed); j++ {
			changed[j] = 0xFF
		}
		n := 0
		for _, ok, _ := r.Next(); ok; _, ok, _ = r.Next() {
			n++
		}
		require.LessOrEqual(t, n, len(want.GetCommands()))
	}

	opened, err := batch.AppendOpened(nil, 1, &straitv1.Opened{Subject: "name"})
	require.NoError(t, err)
	link, err := batch.AppendLink(nil, 1, &straitv1.LinkChanged{Remote: "name"})
	require.NoError(t, err)
	for _, src := range [][]byte{opened, link} {
		var g batch.GatewayReader
		g.Reset(src)
		require.NoError(t, g.Err())
		src[len(src)-1] = 0xFF
		for range 2 {
			_, ok, err := g.Next()
			require.False(t, ok)
			var e *batch.MalformedError
			require.ErrorAs(t, err, &e)
		}
	}
}

func TestKindNames(t *testing.T) {
	assert.Equal(t, "none", batch.CommandNone.String())
	assert.Equal(t, "move", batch.CommandMove.String())
	assert.Equal(t, "CommandKind(7)", batch.CommandKind(7).String())
	assert.Equal(t, "none", batch.EventNone.String())
	assert.Equal(t, "link", batch.EventLink.String())
	assert.Equal(t, "EventKind(5)", batch.EventKind(5).String())
}
