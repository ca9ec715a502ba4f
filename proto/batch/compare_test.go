package batch_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"strait/proto/batch"
	"strait/proto/straitv1"
)

// compareLogic reads data with this package and with the generated code, and
// fails where they differ in what they accept or in what they read.
func compareLogic(t *testing.T, r *batch.LogicReader, data []byte) (valid bool) {
	t.Helper()
	want := new(straitv1.LogicBatch)
	wantErr := proto.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(data, want)

	r.Reset(data)
	if wantErr != nil {
		requireRefused(t, r.Err(), wantErr, data)
		_, ok, err := r.Next()
		require.False(t, ok)
		require.Equal(t, r.Err(), err)
		require.Nil(t, r.Hello())
		require.Zero(t, r.Pong())
		require.Zero(t, r.Acked())
		return false
	}
	require.NoError(t, r.Err(), "%x", data)
	got := &straitv1.LogicBatch{Hello: r.Hello(), Pong: r.Pong(), Acked: r.Acked()}
	for {
		cmd, ok, err := r.Next()
		require.NoError(t, err)
		if !ok {
			break
		}
		require.Equal(t, cmd.Delivery == straitv1.Delivery_DELIVERY_UNRELIABLE, cmd.Unreliable)
		got.Commands = append(got.Commands, generatedCommand(cmd))
	}
	require.True(t, proto.Equal(want, got), "%x\nwant %v\ngot  %v", data, want, got)
	return true
}

func compareGateway(t *testing.T, r *batch.GatewayReader, data []byte) (valid bool) {
	t.Helper()
	want := new(straitv1.GatewayBatch)
	wantErr := proto.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(data, want)

	r.Reset(data)
	if wantErr != nil {
		requireRefused(t, r.Err(), wantErr, data)
		_, ok, err := r.Next()
		require.False(t, ok)
		require.Equal(t, r.Err(), err)
		require.Nil(t, r.Hello())
		require.Zero(t, r.Ping())
		return false
	}
	require.NoError(t, r.Err(), "%x", data)
	got := &straitv1.GatewayBatch{Hello: r.Hello(), Ping: r.Ping()}
	for {
		ev, ok, err := r.Next()
		require.NoError(t, err)
		if !ok {
			break
		}
		require.Equal(t, ev.Delivery == straitv1.Delivery_DELIVERY_UNRELIABLE, ev.Unreliable)
		got.Events = append(got.Events, generatedEvent(ev))
	}
	require.True(t, proto.Equal(want, got), "%x\nwant %v\ngot  %v", data, want, got)
	return true
}

func requireRefused(t *testing.T, err, wantErr error, data []byte) {
	t.Helper()
	var e *batch.MalformedError
	require.ErrorAs(t, err, &e, "generated code says %v of %x", wantErr, data)
	require.NotEmpty(t, e.Path)
	require.Error(t, e.Unwrap())
}

func generatedCommand(c *batch.Command) *straitv1.Command {
	out := new(straitv1.Command)
	switch c.Kind {
	case batch.CommandSend:
		out.Kind = &straitv1.Command_Send{Send: &straitv1.Send{
			Sessions: slices.Clone(c.Sessions), Channel: c.Channel, Delivery: c.Delivery, Payload: c.Payload}}
	case batch.CommandClose:
		out.Kind = &straitv1.Command_Close{Close: &straitv1.CloseSession{
			Session: c.Session, Code: c.Code, Reason: string(c.Reason)}}
	case batch.CommandJoin:
		out.Kind = &straitv1.Command_Join{Join: &straitv1.Join{
			Group: string(c.Group), Sessions: slices.Clone(c.Sessions)}}
	case batch.CommandLeave:
		out.Kind = &straitv1.Command_Leave{Leave: &straitv1.Leave{
			Group: string(c.Group), Sessions: slices.Clone(c.Sessions)}}
	case batch.CommandPublish:
		out.Kind = &straitv1.Command_Publish{Publish: &straitv1.Publish{
			Group: string(c.Group), Channel: c.Channel, Delivery: c.Delivery, Payload: c.Payload,
			Except: slices.Clone(c.Except)}}
	case batch.CommandMove:
		out.Kind = &straitv1.Command_Move{Move: &straitv1.Move{Session: c.Session, Route: string(c.Route)}}
	}
	return out
}

func generatedEvent(e *batch.Event) *straitv1.Event {
	out := &straitv1.Event{Session: e.Session}
	switch e.Kind {
	case batch.EventOpened:
		out.Kind = &straitv1.Event_Opened{Opened: e.Opened}
	case batch.EventMessage:
		out.Kind = &straitv1.Event_Message{Message: &straitv1.Message{
			Channel: e.Channel, Delivery: e.Delivery, Payload: e.Payload, Sequence: e.Sequence}}
	case batch.EventClosed:
		out.Kind = &straitv1.Event_Closed{Closed: &straitv1.Closed{Code: e.Code, Reason: string(e.Reason)}}
	case batch.EventLink:
		out.Kind = &straitv1.Event_Link{Link: e.Link}
	}
	return out
}

// wildRounds is enough for each rule to be met hundreds of times.
func wildRounds() int {
	if testing.Short() {
		return 2000
	}
	return 10000
}

func TestReadersAgreeWithGeneratedCode(t *testing.T) {
	for name, round := range map[string]func(*testing.T, wild, func([]byte) []byte) bool{
		"logic": func(t *testing.T, w wild, alter func([]byte) []byte) bool {
			var r batch.LogicReader // reused, as at its real place, for a batch after a bad one
			compareLogic(t, &r, []byte{0x12})
			return compareLogic(t, &r, alter(w.message((*straitv1.LogicBatch)(nil).ProtoReflect().Descriptor())))
		},
		"gateway": func(t *testing.T, w wild, alter func([]byte) []byte) bool {
			var r batch.GatewayReader
			compareGateway(t, &r, []byte{0x12})
			return compareGateway(t, &r, alter(w.message((*straitv1.GatewayBatch)(nil).ProtoReflect().Descriptor())))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := wild{rand.New(rand.NewPCG(1, 2))}
			whole, valid, damaged := 0, 0, 0
			for range wildRounds() {
				if round(t, w, func(b []byte) []byte { return b }) {
					whole++
				}
				if round(t, w, w.damaged) {
					valid++
				} else {
					damaged++
				}
			}
			// Both outcomes must have been met, or nothing was compared.
			require.Greater(t, whole, wildRounds()/2)
			require.Greater(t, valid, wildRounds()/10)
			require.Greater(t, damaged, wildRounds()/10)
		})
	}
}
