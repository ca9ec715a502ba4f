package batch_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"strait/proto/batch"
	"strait/proto/straitv1"
)

// requireGateway says that data is, for the generated code, want.
func requireGateway(t *testing.T, want *straitv1.GatewayBatch, data []byte) {
	t.Helper()
	got := new(straitv1.GatewayBatch)
	require.NoError(t, proto.Unmarshal(data, got))
	require.True(t, proto.Equal(want, got), "want %v\ngot  %v", want, got)
}

func requireLogic(t *testing.T, want *straitv1.LogicBatch, data []byte) {
	t.Helper()
	got := new(straitv1.LogicBatch)
	require.NoError(t, proto.Unmarshal(data, got))
	require.True(t, proto.Equal(want, got), "want %v\ngot  %v", want, got)
}

// appendGateway writes a batch with one event of each kind, from few values.
func appendGateway(t *testing.T, n uint64, small uint32, flag bool, s string, payload []byte) ([]byte, *straitv1.GatewayBatch) {
	t.Helper()
	s = strings.ToValidUTF8(s, "?")
	hello := &straitv1.GatewayHello{Version: small, Gateway: s, Stream: 1, Streams: 2}
	opened := &straitv1.Opened{SessionId: payload, Subject: s, Claims: map[string]string{s: "v"}, Remote: s,
		Transport: straitv1.Transport_TRANSPORT_TCP, Route: s, Again: flag}
	link := &straitv1.LinkChanged{Remote: s, RttUs: small, LossPpm: 1}
	seq, delivery := uint16(small), straitv1.Delivery_DELIVERY_UNRELIABLE
	if !flag {
		seq, delivery = 0, straitv1.Delivery_DELIVERY_RELIABLE
	}

	b, err := batch.AppendGatewayHello(nil, hello)
	require.NoError(t, err)
	b, err = batch.AppendOpened(b, n, opened)
	require.NoError(t, err)
	b = batch.AppendMessage(b, n, uint8(small), flag, uint16(small), payload)
	b = batch.AppendClosed(b, n, small, s)
	b, err = batch.AppendLink(b, n, link)
	require.NoError(t, err)
	b = batch.AppendPing(b, n)
	return b, &straitv1.GatewayBatch{Hello: hello, Ping: n, Events: []*straitv1.Event{
		{Session: n, Kind: &straitv1.Event_Opened{Opened: opened}},
		{Session: n, Kind: &straitv1.Event_Message{Message: &straitv1.Message{
			Channel: uint32(uint8(small)), Delivery: delivery, Payload: payload, Sequence: uint32(seq)}}},
		{Session: n, Kind: &straitv1.Event_Closed{Closed: &straitv1.Closed{Code: small, Reason: s}}},
		{Session: n, Kind: &straitv1.Event_Link{Link: link}},
	}}
}

// appendLogic writes a batch with one command of each kind, from few values.
func appendLogic(t *testing.T, n uint64, small uint32, flag bool, s string, payload []byte) ([]byte, *straitv1.LogicBatch) {
	t.Helper()
	s = strings.ToValidUTF8(s, "?")
	hello := &straitv1.LogicHello{Version: small, Name: s, Routes: []string{s, "b"}, Draining: flag}
	ids := []uint64{n, 0, n + 1, 1 << 40}[:small%5]
	delivery := straitv1.Delivery_DELIVERY_RELIABLE
	if flag {
		delivery = straitv1.Delivery_DELIVERY_UNRELIABLE
	}

	b, err := batch.AppendLogicHello(nil, hello)
	require.NoError(t, err)
	b = batch.AppendSend(b, ids, small, flag, payload)
	b = batch.AppendSendOne(b, n, small, flag, payload)
	b = batch.AppendCloseSession(b, n, small, s)
	b = batch.AppendJoin(b, s, ids)
	b = batch.AppendLeave(b, s, ids)
	b = batch.AppendPublish(b, s, small, flag, payload, ids)
	b = batch.AppendMove(b, n, s)
	b = batch.AppendPong(b, n)
	b = batch.AppendAcked(b, n+1)
	return b, &straitv1.LogicBatch{Hello: hello, Pong: n, Acked: n + 1, Commands: []*straitv1.Command{
		{Kind: &straitv1.Command_Send{Send: &straitv1.Send{
			Sessions: ids, Channel: small, Delivery: delivery, Payload: payload}}},
		{Kind: &straitv1.Command_Send{Send: &straitv1.Send{
			Sessions: []uint64{n}, Channel: small, Delivery: delivery, Payload: payload}}},
		{Kind: &straitv1.Command_Close{Close: &straitv1.CloseSession{Session: n, Code: small, Reason: s}}},
		{Kind: &straitv1.Command_Join{Join: &straitv1.Join{Group: s, Sessions: ids}}},
		{Kind: &straitv1.Command_Leave{Leave: &straitv1.Leave{Group: s, Sessions: ids}}},
		{Kind: &straitv1.Command_Publish{Publish: &straitv1.Publish{
			Group: s, Channel: small, Delivery: delivery, Payload: payload, Except: ids}}},
		{Kind: &straitv1.Command_Move{Move: &straitv1.Move{Session: n, Route: s}}},
	}}
}

func TestAppendAgreesWithGeneratedCode(t *testing.T) {
	for _, n := range []uint64{0, 1, 127, 128, 1<<32 - 1, 1<<64 - 1} {
		for _, small := range []uint32{0, 1, 2, 3, 4, 255, 999, 1<<32 - 1} {
			for _, flag := range []bool{false, true} {
				for _, size := range []int{0, 1, 64, 127, 128, 20000} {
					s := strings.Repeat("ü", size%300)
					b, gw := appendGateway(t, n, small, flag, s, make([]byte, size))
					requireGateway(t, gw, b)
					b, lg := appendLogic(t, n, small, flag, s, make([]byte, size))
					requireLogic(t, lg, b)
				}
			}
		}
	}
}

func TestAppendAddsToWhatIsThere(t *testing.T) {
	one := batch.AppendMessage(nil, 1, 2, true, 3, []byte("a"))
	two := batch.AppendClosed(one, 4, 5, "b")
	require.Equal(t, one, two[:len(one)])
	three := batch.AppendSendOne([]byte("before"), 1, 2, false, nil)
	require.Equal(t, "before", string(three[:6]))
}

func TestAppendNothing(t *testing.T) {
	require.Empty(t, batch.AppendPing(nil, 0))
	require.Empty(t, batch.AppendPong(nil, 0))
	require.Empty(t, batch.AppendAcked(nil, 0))
}

func TestAppendReplacesWhatIsNotUTF8(t *testing.T) {
	b := batch.AppendClosed(nil, 1, 2, "a\xffb")
	requireGateway(t, &straitv1.GatewayBatch{Events: []*straitv1.Event{{
		Session: 1, Kind: &straitv1.Event_Closed{Closed: &straitv1.Closed{Code: 2, Reason: "a\uFFFDb"}},
	}}}, b)

	b = batch.AppendCloseSession(nil, 1, 2, "\xff")
	b = batch.AppendJoin(b, "\xff", nil)
	b = batch.AppendPublish(b, "\xff", 0, false, []byte("\xff"), nil)
	b = batch.AppendMove(b, 1, "\xff")
	requireLogic(t, &straitv1.LogicBatch{Commands: []*straitv1.Command{
		{Kind: &straitv1.Command_Close{Close: &straitv1.CloseSession{Session: 1, Code: 2, Reason: "\uFFFD"}}},
		{Kind: &straitv1.Command_Join{Join: &straitv1.Join{Group: "\uFFFD"}}},
		{Kind: &straitv1.Command_Publish{Publish: &straitv1.Publish{Group: "\uFFFD", Payload: []byte("\xff")}}},
		{Kind: &straitv1.Command_Move{Move: &straitv1.Move{Session: 1, Route: "\uFFFD"}}},
	}}, b)
}

func TestAppendGeneratedFailureLeavesTheBatchWhole(t *testing.T) {
	dst := batch.AppendPing(make([]byte, 0, 64), 7)
	for name, f := range map[string]func() ([]byte, error){
		"opened": func() ([]byte, error) { return batch.AppendOpened(dst, 1, &straitv1.Opened{Subject: "\xff"}) },
		"link":   func() ([]byte, error) { return batch.AppendLink(dst, 1, &straitv1.LinkChanged{Remote: "\xff"}) },
		"gateway hello": func() ([]byte, error) {
			return batch.AppendGatewayHello(dst, &straitv1.GatewayHello{Gateway: "\xff"})
		},
		"logic hello": func() ([]byte, error) {
			return batch.AppendLogicHello(dst, &straitv1.LogicHello{Routes: []string{"\xff"}})
		},
	} {
		out, err := f()
		require.Error(t, err, name)
		require.Equal(t, dst, out, name)
	}
}

func TestAppendDoesNotAllocate(t *testing.T) {
	buf := make([]byte, 0, 4096)
	payload, ids := make([]byte, 64), []uint64{1, 1 << 20, 1 << 40}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		b := batch.AppendLength(buf, 0)
		b = batch.AppendMessage(b, 1<<40, 3, true, 77, payload)
		b = batch.AppendClosed(b, 1<<40, 3, "bye")
		b = batch.AppendSend(b, ids, 3, true, payload)
		b = batch.AppendSendOne(b, 1<<40, 3, true, payload)
		b = batch.AppendCloseSession(b, 1, 8, "kicked")
		b = batch.AppendJoin(b, "arena", ids)
		b = batch.AppendLeave(b, "arena", ids)
		b = batch.AppendPublish(b, "arena", 1, true, payload, ids)
		b = batch.AppendMove(b, 1, "lobby")
		b = batch.AppendPing(b, 9)
		batch.PutLength(b, len(b)-batch.LengthLen)
	}))
}
