package gateway_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"strait/gateway"
	"strait/proto/straitv1"
	"strait/transport"
	"strait/upstream"
)

func TestOpeningTellsBothSides(t *testing.T) {
	l := newLogic()
	g := start(t, gateway.Config{MaxMessageBytes: 20000}, l)
	c := player(t, g)
	h := c.serverHello()
	require.EqualValues(t, 1, h.Version)
	require.Len(t, h.SessionId, 16)
	require.EqualValues(t, 20000, h.MaxMessageBytes)
	require.EqualValues(t, gateway.MaxUnreliable, h.MaxUnreliableBytes)
	require.EqualValues(t, 30000, h.IdleTimeoutMs)
	require.NotZero(t, h.ServerTimeUs)
	require.False(t, h.Resumed)
	require.Empty(t, h.ResumeToken)

	es := l.await(t, count(1))
	require.Equal(t, upstream.Opened, es[0].kind)
	a := es[0].session.Announcement()
	require.Equal(t, h.SessionId, a.ID[:])
	require.Equal(t, "192.0.2.1:4000", a.Remote.String())
	require.Equal(t, transport.KindTCP, a.Transport)
}

func TestOpeningRefusals(t *testing.T) {
	l := newLogic()
	g := start(t, gateway.Config{MaxSessions: 2}, l)

	c, err := join(t, g, &straitv1.ClientHello{Version: 7})
	require.NoError(t, err)
	require.Equal(t, transport.Version, c.reason().Code)
	require.Contains(t, c.reason().Text, "version 7")

	c = newConn(t, g)
	p, err := g.Accept(c)
	require.NoError(t, err)
	c.peer = p
	p.Hello([]byte{0xff, 0xff})
	require.Equal(t, transport.ProtocolError, c.reason().Code)

	player(t, g)
	player(t, g)
	_, err = join(t, g, &straitv1.ClientHello{Version: 1})
	require.ErrorIs(t, err, transport.Overloaded)
	var r transport.Reason
	require.ErrorAs(t, err, &r)
	require.Positive(t, r.RetryAfter)
	require.EqualValues(t, 2, g.Stats().Openings["NORMAL"])
	require.EqualValues(t, 1, g.Stats().Openings["VERSION"])
	require.EqualValues(t, 1, g.Stats().Openings["PROTOCOL_ERROR"])
	require.EqualValues(t, 1, g.Stats().Openings["OVERLOADED"])
}

func TestResumeTokenGetsAFreshSession(t *testing.T) {
	g := start(t, gateway.Config{}, newLogic())
	c, err := join(t, g, &straitv1.ClientHello{Version: 1, WantResume: true, ResumeToken: []byte("from elsewhere")})
	require.NoError(t, err)
	require.False(t, c.serverHello().Resumed)
}

func TestClientRoute(t *testing.T) {
	for _, allowed := range []bool{false, true} {
		l := newLogic()
		g := start(t, gateway.Config{ClientRoute: allowed}, l)
		_, err := join(t, g, &straitv1.ClientHello{Version: 1, Route: "match-7"})
		require.NoError(t, err)
		want := ""
		if allowed {
			want = "match-7"
		}
		require.Equal(t, want, l.await(t, count(1))[0].session.Announcement().Route)
	}
}

func TestAuthentication(t *testing.T) {
	l := newLogic()
	entered := make(chan struct{}, 1)
	g := start(t, gateway.Config{Authenticate: func(ctx context.Context, h gateway.Hello) (gateway.Identity, error) {
		switch string(h.Token) {
		case "ann":
			return gateway.Identity{Subject: "ann", Claims: map[string]string{"tier": "gold"}, Route: "eu"}, nil
		case "later":
			return gateway.Identity{}, transport.Because(transport.Overloaded, "come back")
		case "slow":
			entered <- struct{}{}
			<-ctx.Done()
			return gateway.Identity{Subject: "too late"}, nil
		}
		return gateway.Identity{}, errRefused
	}}, l)
	hello := func(token string) *fakeConn {
		c, err := join(t, g, &straitv1.ClientHello{Version: 1, AuthToken: []byte(token)})
		require.NoError(t, err)
		return c
	}
	ann := hello("ann")
	a := l.await(t, count(1))[0].session.Announcement()
	require.Equal(t, "ann", a.Subject)
	require.Equal(t, map[string]string{"tier": "gold"}, a.Claims)
	require.Equal(t, "eu", a.Route)
	require.Nil(t, ann.reason())

	c := hello("mallory")
	<-c.changed
	require.Equal(t, transport.AuthFailed, c.reason().Code)
	require.NotContains(t, c.reason().Text, errRefused.Error(), "the cause is for the log, not for the client")

	c = hello("later")
	<-c.changed
	require.Equal(t, transport.Overloaded, c.reason().Code)

	c = hello("slow")
	<-entered
	c.lose() // while it is being authenticated: no session may come of it
	g.Shutdown(context.Background())
	require.Len(t, bodies(l.events, nil), 0)
	for _, e := range l.events {
		require.Equal(t, "ann", e.session.Announcement().Subject)
	}
}

func TestRefusesWhileDraining(t *testing.T) {
	g := start(t, gateway.Config{}, newLogic())
	g.Shutdown(context.Background())
	_, err := g.Accept(newConn(t, g))
	require.ErrorIs(t, err, transport.Draining)
	ok, why := g.Ready()
	require.False(t, ok)
	require.Equal(t, "draining", why)
}
