package gateway_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"strait/gateway"
	"strait/transport"
	"strait/upstream"
)

func (l *logic) publish(group, body string, except ...uint64) int {
	return l.gw.Publish("", group, transport.Message{Buf: l.gw.Buffers().Copy([]byte(body))}, except)
}

func TestGroups(t *testing.T) {
	l := newLogic()
	g := start(t, gateway.Config{Shards: 4}, l)
	var cs []*fakeConn
	for range 6 {
		cs = append(cs, player(t, g))
	}
	byConn := make(map[string]*fakeConn)
	for _, c := range cs {
		byConn[string(c.serverHello().SessionId)] = c
	}
	var ss []upstream.Session
	for _, e := range l.await(t, count(6)) {
		ss = append(ss, e.session)
	}
	conn := func(i int) *fakeConn { id := ss[i].ID(); return byConn[string(id[:])] }

	require.Zero(t, l.publish("a", "nobody"))
	for _, s := range ss[:4] {
		l.gw.Join("", "a", s)
		l.gw.Join("", "a", s) // twice is once
	}
	l.gw.Join("other route", "a", ss[5])
	require.Equal(t, 4, l.publish("a", "1"))
	require.Equal(t, 4, l.publish("a", "2", ss[0].Handle()))
	l.gw.Leave("", "a", ss[1])
	l.gw.Leave("", "a", ss[1])
	l.gw.Leave("", "b", ss[2])
	require.Equal(t, 3, l.publish("a", "3"))
	l.gw.Moved(ss[2], "elsewhere")
	ss[3].Close(transport.Reason{})
	require.Equal(t, 1, l.publish("a", "4"))
	l.gw.Join("", "a", ss[3])
	require.Equal(t, 1, l.publish("a", "5"), "who has ended joins nothing")

	require.Equal(t, []string{"1", "3", "4", "5"}, conn(0).received())
	require.Equal(t, []string{"1", "2"}, conn(1).received())
	require.Equal(t, []string{"1", "2", "3"}, conn(2).received())
	require.Empty(t, conn(4).received())
	require.Empty(t, conn(5).received())
	require.Equal(t, 2, g.Stats().Groups)
	ss[0].Close(transport.Reason{})
	ss[5].Close(transport.Reason{})
	require.Zero(t, g.Stats().Groups, "empty groups do not exist")
}

// What one goroutine sends keeps its order, whether a fan-out is still under way
// or not.
func TestSendsKeepTheirOrderBehindALargePublish(t *testing.T) {
	const players, rounds = 2000, 20
	l := newLogic()
	g := start(t, gateway.Config{Shards: 2, MaxSessions: players}, l)
	var cs []*fakeConn
	for range players {
		cs = append(cs, player(t, g))
	}
	var ss []upstream.Session
	for _, e := range l.await(t, count(players)) {
		ss = append(ss, e.session)
		l.gw.Join("", "all", e.session)
	}
	for r := range rounds {
		require.Equal(t, players, l.publish("all", fmt.Sprint("p", r)))
		for i := r; i < players; i += 100 {
			require.NoError(t, l.gw.Send(ss[i], transport.Message{Buf: g.Pool().Copy(fmt.Append(nil, "s", r))}))
			l.gw.Flush(ss[i])
		}
	}
	last := ss[players-1]
	l.gw.CloseSession(last, transport.Because(transport.Kicked, "after all of that"))
	g.Shutdown(context.Background())
	direct := 0
	for _, c := range cs {
		next := 0
		for _, b := range c.received() {
			if b[0] == 's' {
				require.Equal(t, fmt.Sprint("s", next-1), b, "behind the publish of its round, before the next")
				direct++
				continue
			}
			require.Equal(t, fmt.Sprint("p", next), b)
			next++
		}
		require.Equal(t, rounds, next)
	}
	require.Equal(t, rounds*players/100, direct)
	id := last.ID()
	for _, c := range cs {
		if string(c.serverHello().SessionId) == string(id[:]) {
			require.Equal(t, transport.Kicked, c.reason().Code)
		}
	}
}

func TestGroupsUnderChurn(t *testing.T) {
	l := newLogic()
	g := start(t, gateway.Config{Shards: 2}, l)
	var cs []*fakeConn
	for range 200 {
		cs = append(cs, player(t, g))
	}
	var ss []upstream.Session
	for _, e := range l.await(t, count(200)) {
		ss = append(ss, e.session)
	}
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range 500 {
				s := ss[(i*7+w*50)%len(ss)]
				switch (i + w) % 4 {
				case 0, 1:
					l.gw.Join("", "a", s)
				case 2:
					l.gw.Leave("", "a", s)
				default:
					l.publish("a", "x")
				}
			}
		}()
	}
	for _, c := range cs[:100] {
		c.lose()
	}
	wg.Wait()
	for _, s := range ss {
		l.gw.Leave("", "a", s)
	}
	require.Zero(t, g.Stats().Groups)
}

func BenchmarkPublish(b *testing.B) {
	for _, n := range []int{10, 1000} {
		b.Run(fmt.Sprintf("members=%d/bytes=256", n), func(b *testing.B) {
			l := newLogic()
			g, err := gateway.New(gateway.Config{Shards: 2, DrainTimeout: 1000000}, l)
			require.NoError(b, err)
			require.NoError(b, g.Start())
			defer g.Shutdown(context.Background())
			t := &testing.T{}
			for range n {
				c := player(t, g)
				c.stuck = true
			}
			for _, e := range l.await(t, count(n)) {
				l.gw.Join("", "all", e.session)
			}
			payload := make([]byte, 256)
			b.ReportAllocs()
			for b.Loop() {
				m := transport.Message{Delivery: transport.Unreliable, Buf: g.Pool().Copy(payload)}
				l.gw.Publish("", "all", m, nil)
			}
		})
	}
}
