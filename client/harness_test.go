package client_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"strait/client"
	"strait/client/clienttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long something over real sockets may take before a test fails.
const patience = 20 * time.Second

func timeout(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func startGateway(t testing.TB, c clienttest.Config) *clienttest.Gateway {
	t.Helper()
	client.Forget()
	g, err := clienttest.New(c)
	require.NoError(t, err)
	t.Cleanup(func() { _ = g.Close() })
	return g
}

func dial(t testing.TB, g *clienttest.Gateway, o client.Options) *client.Client {
	t.Helper()
	o.Pin = g.Pin()
	c, err := client.Dial(timeout(t), g.Addr(), o)
	require.NoError(t, err)
	t.Cleanup(func() {
		assert.NoError(t, c.Close())
		assert.Zero(t, client.LiveBuffers(), "buffers were not released")
	})
	return c
}

func receive(t testing.TB, c *client.Client) client.Message {
	t.Helper()
	m, err := c.Receive(timeout(t))
	require.NoError(t, err)
	return m
}

// states collects what OnState hears.
type states chan client.State

func watch() states { return make(states, 100) }

func (s states) on(st client.State) { s <- st }

func (s states) next(t testing.TB, kind client.StateKind) client.State {
	t.Helper()
	select {
	case st := <-s:
		require.Equal(t, kind.String(), st.Kind.String(), "state %+v", st)
		return st
	case <-time.After(time.Hour): // of a simulated clock; a real one is ended by the test's timeout
		require.FailNow(t, "no state "+kind.String())
		return client.State{}
	}
}

// simulated starts a gateway and a client on a memory network; to be used inside
// a bubble of testing/synctest.
func simulated(t *testing.T, g clienttest.Config, o client.Options) (*memory, *client.Client) {
	t.Helper()
	network := newMemory()
	g.Listener = network
	gw := startGateway(t, g)
	o.DialContext = network.Dial
	o.Pin = gw.Pin()
	c, err := client.Dial(t.Context(), "gateway:1", o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return network, c
}
