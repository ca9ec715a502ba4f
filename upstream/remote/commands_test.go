package remote_test

import (
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"strait/proto/batch"
	"strait/proto/straitv1"
	"strait/transport"
	"strait/upstream"
	"strait/upstream/remote"
	"strait/upstream/upstreamtest"
)

// raw encodes commands that the Append functions would not.
func raw(t *testing.T, cs ...*straitv1.Command) []byte {
	t.Helper()
	b, err := proto.Marshal(&straitv1.LogicBatch{Commands: cs})
	require.NoError(t, err)
	return b
}

func TestAbsurdCommands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, g := newNetwork(), upstreamtest.NewGateway(t, 0)
		b := n.up("10.0.0.1:1", newLogic())
		p := start(t, g, n, remote.Config{}, "10.0.0.1:1")
		b.connected(t, 2)
		synctest.Wait()
		s, kicked := g.Open(upstream.Announcement{}), g.Open(upstream.Announcement{})
		h := s.Handle()
		b.await(t, h, 1)
		b.await(t, kicked.Handle(), 1)
		c := b.holder(t, h)
		var stranger uint64 // on the other stream
		for stranger == 0 {
			o := g.Open(upstream.Announcement{})
			b.await(t, o.Handle(), 1)
			if b.holder(t, o.Handle()) != c {
				stranger = o.Handle()
			}
		}
		huge := make([]byte, upstreamtest.MaxReliable+1)
		for _, cmd := range []struct {
			why   upstream.Drop
			n     int
			batch []byte
		}{
			{upstream.DropUnknown, 1, batch.AppendSendOne(nil, 999, 0, false, []byte("x"))},
			{upstream.DropUnknown, 2, batch.AppendCloseSession(nil, 999, 0, "")},
			{upstream.DropUnknown, 4, batch.AppendJoin(nil, "room", []uint64{999, 0})},
			{upstream.DropUnknown, 5, batch.AppendLeave(nil, "room", []uint64{999})},
			{upstream.DropUnknown, 6, batch.AppendMove(nil, 999, "route")},
			{upstream.DropNotCurrent, 1, batch.AppendSendOne(nil, stranger, 0, false, []byte("x"))},
			{upstream.DropNotCurrent, 2, batch.AppendCloseSession(nil, stranger, 0, "")},
			{upstream.DropNotCurrent, 3, batch.AppendJoin(nil, "room", []uint64{stranger})},
			{upstream.DropNotCurrent, 4, batch.AppendMove(nil, stranger, "route")},
			{upstream.DropBadChannel, 1, batch.AppendSendOne(nil, h, 999, false, []byte("x"))},
			{upstream.DropBadChannel, 3, batch.AppendSend(nil, []uint64{h, h}, 256, false, []byte("x"))},
			{upstream.DropBadChannel, 4, batch.AppendPublish(nil, "room", 999, false, []byte("x"), nil)},
			{upstream.DropBadDelivery, 1, raw(t, &straitv1.Command{Kind: &straitv1.Command_Send{
				Send: &straitv1.Send{Sessions: []uint64{h}, Delivery: 2},
			}})},
			{upstream.DropBadDelivery, 2, raw(t, &straitv1.Command{Kind: &straitv1.Command_Publish{
				Publish: &straitv1.Publish{Group: "room", Delivery: -1},
			}})},
			{upstream.DropTooLarge, 1, batch.AppendSendOne(nil, h, 0, false, huge)},
			{upstream.DropTooLarge, 3, batch.AppendSend(nil, []uint64{h, h}, 0, true, huge[:1101])},
		} {
			c.say(cmd.batch)
			g.AwaitDrops(cmd.why, cmd.n)
		}
		ck := b.holder(t, kicked.Handle())
		ck.say(batch.AppendCloseSession(nil, kicked.Handle(), 15, "no such code"))
		g.AwaitDrops(upstream.DropBadCode, 1)
		require.Equal(t, transport.Kicked, kicked.Ended().Code)
		// An empty command, and one of a kind that does not exist yet.
		c.say([]byte{0x12, 0x00, 0x12, 0x03, 0x7a, 0x01, 0x00})

		// After all of it the session goes on, with many receivers of one payload.
		c.say(batch.AppendSend(nil, []uint64{h, 999, h}, 255, true, []byte("good")))
		for range 2 {
			require.Equal(t, upstreamtest.Received{Delivery: transport.Unreliable, Channel: 255, Payload: "good"}, s.Next())
		}
		require.Zero(t, p.Status().Streams[0].Lost+p.Status().Streams[1].Lost)
		require.Empty(t, g.Members("", "room"))
	})
}

func TestManyCommandsFlushOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, g := newNetwork(), upstreamtest.NewGateway(t, 0)
		b := n.up("10.0.0.1:1", newLogic())
		start(t, g, n, remote.Config{}, "10.0.0.1:1")
		s := g.Open(upstream.Announcement{})
		b.await(t, s.Handle(), 1)
		var cmds []byte
		for range 10 {
			cmds = batch.AppendSendOne(cmds, s.Handle(), 0, false, []byte("x"))
		}
		before := s.Flushes()
		b.holder(t, s.Handle()).say(cmds)
		synctest.Wait()
		require.Equal(t, 10, s.Unread())
		require.Equal(t, before+1, s.Flushes())
	})
}

// TestBatchesThatEndTheStream sends a batch whose first command is fine: none of a
// batch that cannot be used may be carried out.
func TestBatchesThatEndTheStream(t *testing.T) {
	hello := func(version uint32) []byte {
		b, err := batch.AppendLogicHello(nil, &straitv1.LogicHello{Version: version, Name: "new"})
		require.NoError(t, err)
		return b
	}
	for name, c := range map[string]struct {
		more []byte
		say  string
		obey bool // the commands in front are carried out
	}{
		"garbage":          {more: []byte{0xff, 0xff, 0xff}, say: "cannot be used"},
		"torn":             {more: []byte{0x12, 0x7f, 0x00}, say: "cannot be used"},
		"5 MiB":            {more: batch.AppendSendOne(nil, 999, 0, false, make([]byte, 5<<20)), say: "above the limit"},
		"another version":  {more: hello(2), say: `"new" says version 2`},
		"pong of no ping":  {more: batch.AppendPong(nil, 1<<40), say: "pong is", obey: true},
		"ack of no batch":  {more: batch.AppendAcked(nil, 1<<40), say: "acked is", obey: true},
		"group not UTF-8":  {more: []byte{0x12, 0x05, 0x1a, 0x03, 0x0a, 0x01, 0xff}, say: "UTF-8"},
		"closed by logic":  {say: "ended the stream", obey: true},
		"handle cut short": {more: []byte{0x12, 0x05, 0x0a, 0x03, 0x0a, 0x01, 0x80}, say: "cannot be used"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, g := newNetwork(), upstreamtest.NewGateway(t, 0)
				b := n.up("10.0.0.1:1", newLogic())
				p := start(t, g, n, remote.Config{Streams: 1}, "10.0.0.1:1")
				s := g.Open(upstream.Announcement{})
				b.await(t, s.Handle(), 1)
				bad := b.holder(t, s.Handle())
				bad.say(append(batch.AppendSendOne(nil, s.Handle(), 0, false, []byte("in front")), c.more...))
				if c.more == nil {
					synctest.Wait()
					b.kill()
				}
				require.Equal(t, seen{"again", s.Handle(), ""}, b.await(t, s.Handle(), 2)[1])
				require.Contains(t, p.Status().Streams[0].Error, c.say)
				if c.obey {
					s.Expect("in front")
				}
				s.SayReliable("x")
				s.Expect("x")
				// A dead stream cannot speak.
				bad.say(batch.AppendSendOne(nil, s.Handle(), 0, false, []byte("zombie")))
				synctest.Wait()
				require.Zero(t, s.Unread())
			})
		})
	}
}

func TestQuietStreamIsAskedForASignOfLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, g := newNetwork(), upstreamtest.NewGateway(t, 0)
		b := n.up("10.0.0.1:1", newLogic())
		p := start(t, g, n, remote.Config{Streams: 1}, "10.0.0.1:1")
		c := b.connected(t, 1)[0]
		time.Sleep(20*time.Second + time.Millisecond)
		synctest.Wait()
		b.mu.Lock()
		require.InDelta(t, 10, c.pings, 2)
		require.Equal(t, uint32(1), c.hello.GetVersion())
		require.Equal(t, uint32(1), c.hello.GetStreams())
		require.NotEmpty(t, c.hello.GetGateway())
		b.silent = true
		b.mu.Unlock()
		require.Zero(t, p.Status().Streams[0].Lost)
		time.Sleep(8 * time.Second)
		require.EqualValues(t, 1, p.Status().Streams[0].Lost)
		require.Contains(t, p.Status().Streams[0].Error, "no answer to a ping")
	})
}

func TestBackendThatTalksButDoesNotReadIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, g := newNetwork(), upstreamtest.NewGateway(t, 0)
		b := n.up("10.0.0.1:1", newLogic())
		p := start(t, g, n, remote.Config{Streams: 1}, "10.0.0.1:1")
		s := g.Open(upstream.Announcement{})
		b.await(t, s.Handle(), 1)
		c := b.holder(t, s.Handle())
		b.hang(true)
		s.SayReliable("unheard")
		for range 40 {
			c.say(batch.AppendPublish(nil, "room", 0, true, []byte("tick"), nil))
			time.Sleep(200 * time.Millisecond)
		}
		require.NotZero(t, p.Status().Streams[0].Lost)
		b.hang(false)
		s.Expect("unheard")
	})
}

func TestAnnouncementThatIsNotUTF8(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, g := newNetwork(), upstreamtest.NewGateway(t, 0)
		b := n.up("10.0.0.1:1", newLogic())
		start(t, g, n, remote.Config{}, "10.0.0.1:1")
		s := g.Open(upstream.Announcement{Subject: "\xff", Claims: map[string]string{"a\xff": "b\xff"}, Route: "r\xff"})
		require.Equal(t, []seen{{"opened", s.Handle(), "r\uFFFD"}}, b.await(t, s.Handle(), 1))
	})
}

func TestMessagesThatFillManyBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, g := newNetwork(), upstreamtest.NewGateway(t, 1)
		l := newLogic()
		l.mute = true
		b := n.up("10.0.0.1:1", l)
		p := start(t, g, n, remote.Config{Streams: 1, StreamBufferBytes: 64 << 20}, "10.0.0.1:1")
		s := g.Open(upstream.Announcement{})
		b.await(t, s.Handle(), 1)
		b.hang(true)
		sizes := []int{10, 300 << 10, batch.MaxBatch - 64, 20, batch.MaxBatch + 1, 1 << 20, 30}
		var events []upstream.Event
		for _, size := range sizes {
			events = append(events, s.BytesEvent(transport.Reliable, 0, make([]byte, size)))
		}
		p.Deliver(0, events)
		b.hang(false)
		var got []int
		for _, e := range b.await(t, s.Handle(), len(sizes))[1:] {
			got = append(got, len(e.Text))
		}
		require.Equal(t, []int{10, 300 << 10, batch.MaxBatch - 64, 20, 1 << 20, 30}, got)
		require.Equal(t, 1, g.Drops(upstream.DropTooLarge))
	})
}

func TestConfigIsRefused(t *testing.T) {
	n := newNetwork()
	for name, c := range map[string]struct {
		config remote.Config
		say    []string
	}{
		"nothing":  {remote.Config{}, []string{"no backends", "fake://host:port"}},
		"scheme":   {remote.Config{Backends: []string{"http://a:1"}}, []string{`"http://a:1"`, "there are fake"}},
		"port":     {remote.Config{Backends: []string{"fake://a"}}, []string{`"fake://a"`, "the port is missing"}},
		"secret":   {remote.Config{Backends: []string{"fake://u:p@a:1"}}, []string{`"fake://***@a:1": a user name or password`}},
		"twice":    {remote.Config{Backends: []string{"fake://a:1", "FAKE://A:01"}}, []string{`"fake://a:1" is named twice`}},
		"streams":  {remote.Config{Backends: []string{"fake://a:1"}, Streams: 65}, []string{"65 streams", "1 to 64"}},
		"id":       {remote.Config{Backends: []string{"fake://a:1"}, GatewayID: "\xff"}, []string{"must be UTF-8"}},
		"negative": {remote.Config{Backends: []string{"fake://a:1"}, Grace: -1, FullTimeout: -1}, []string{"grace time is negative", "full timeout is negative"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := remote.New(c.config, n)
			require.Error(t, err)
			for _, say := range c.say {
				require.ErrorContains(t, err, say)
			}
		})
	}
}

func TestLifecycle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, g := newNetwork(), upstreamtest.NewGateway(t, 0)
		b := n.up("10.0.0.1:1", newLogic())
		p := start(t, g, n, remote.Config{Grace: time.Minute}, "10.0.0.1:1")
		require.Error(t, p.Start(g), "started twice")
		s := g.Open(upstream.Announcement{})
		b.await(t, s.Handle(), 1)
		// What is queued is written before the end, as far as it is read.
		b.hang(true)
		s.SayReliable("last words")
		s.Leave()
		g.Settle()
		time.AfterFunc(500*time.Millisecond, func() { b.hang(false) })
		require.NoError(t, p.Close())
		require.Equal(t, []seen{
			{"opened", s.Handle(), ""}, {"message", s.Handle(), "last words"}, {"closed", s.Handle(), ""},
		}, b.log(s.Handle()))
		_, why := p.Ready()
		require.Contains(t, why, "closed")

		unstarted, err := remote.New(remote.Config{Backends: []string{"fake://10.0.0.1:1"}}, n)
		require.NoError(t, err)
		require.NoError(t, unstarted.Close())
		err = unstarted.Start(g)
		require.True(t, errors.Is(err, net.ErrClosed), err)
		require.True(t, strings.HasPrefix(unstarted.String(), "fake to fake://"))
	})
}

func TestCloseDoesNotWaitForAHungBackend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, g := newNetwork(), upstreamtest.NewGateway(t, 0)
		b := n.up("10.0.0.1:1", newLogic())
		p := start(t, g, n, remote.Config{}, "10.0.0.1:1")
		s := g.Open(upstream.Announcement{})
		b.await(t, s.Handle(), 1)
		b.hang(true)
		s.SayReliable("unheard")
		g.Settle()
		began := time.Now()
		require.NoError(t, p.Close())
		require.Less(t, time.Since(began), 2*time.Second)
		require.Equal(t, 1, g.Drops(upstream.DropShutdown))
	})
}
