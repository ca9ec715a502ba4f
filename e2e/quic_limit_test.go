package e2e

import (
	"reflect"
	"sync"
	"testing"
	"unsafe"

	quicgo "github.com/quic-go/quic-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// disobeys makes quic-go's client open more streams than the gateway has given credit
// for. There is no other way to it: each QUIC library keeps its own to the limit.
func (p *quicPlayer) disobeys(streams string) {
	p.t.Helper()
	field := func(v reflect.Value, name string) reflect.Value {
		f := v.FieldByName(name)
		require.True(p.t, f.IsValid(), "quic-go has no %s any more", name)
		return f
	}
	all := field(reflect.ValueOf(p.conn).Elem(), "streamsMap").Elem()
	outgoing := field(all, streams).Elem()
	mu, most := field(outgoing, "mutex"), field(outgoing, "maxStream")
	require.Equal(p.t, reflect.TypeFor[sync.RWMutex](), mu.Type())
	require.Equal(p.t, reflect.Int64, most.Kind())
	lock := (*sync.RWMutex)(unsafe.Pointer(mu.UnsafeAddr()))
	lock.Lock()
	defer lock.Unlock()
	*(*int64)(unsafe.Pointer(most.UnsafeAddr())) = 1 << 20 // a stream's ID
}

// A client that opens more streams than it may is cut by the QUIC stack with
// STREAM_LIMIT_ERROR. Its session ends as a lost one, and nobody else notices.
func TestQUICMoreStreamsThanAllowed(t *testing.T) {
	t.Parallel()
	const channels = 8
	game := listenLogic(t)
	gw := serveQUIC(t, game.env("STRAIT_QUIC_MAX_STREAMS=8")...)
	other, overTCP := accompanyQUIC(t, gw), accompany(t, gw)
	for _, c := range []struct {
		name string
		do   func(*quicPlayer)
	}{
		{"channel streams", func(p *quicPlayer) {
			for channel := range byte(channels) {
				p.say(1+channel, []byte("allowed"))
				p.hears(onStream, 1+channel, []byte("allowed"))
			}
			p.disobeys("outgoingUniStreams")
			p.onNewStream([]byte{preface, 100}, data(100, []byte("one too many")))
		}},
		{"bidirectional streams", func(p *quicPlayer) {
			p.disobeys("outgoingBidiStreams")
			_, err := p.conn.OpenStream() // the second would be a breach of WIRE.md, were it used
			require.NoError(p.t, err)
			third, err := p.conn.OpenStream()
			require.NoError(p.t, err)
			_, err = third.Write([]byte("hello?"))
			require.NoError(p.t, err)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := joinQUIC(t, gw, quicSetup{})
			s := game.sees(t, p)
			c.do(p)
			var limit *quicgo.TransportError
			require.ErrorAs(t, p.ended(), &limit)
			assert.Equal(t, quicgo.StreamLimitError, limit.ErrorCode)
			assert.True(t, limit.Remote)
			e := game.event(t, "Closed", func(e event) bool { return e.Session == s.Session && e.GetClosed() != nil })
			assert.Contains(t, e.GetClosed().Reason, "STREAM_LIMIT_ERROR")
			assert.Zero(t, game.events.count(func(e event) bool { return e.Session == s.Session && e.GetMessage().GetChannel() == 100 }))
			other.undisturbed(t)
			overTCP.undisturbed(t)
		})
	}
	gw.falls("strait_quic_connections", 1)
	assert.Zero(t, gw.metric(end("INTERNAL")))
}
