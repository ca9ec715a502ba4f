package udp

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/transport"
)

func TestConfigRefuses(t *testing.T) {
	pool := transport.NewPool(0, nil)
	require.NoError(t, Config{Pool: pool}.Validate())
	for want, c := range map[string]Config{
		"Pool is missing": {},
		"TokenLifetime":   {TokenLifetime: 2 * time.Hour},
		"AEADs has 3":     {AEADs: []uint32{1, 3}},
		"Retry is 9":      {Retry: 9},
		`"host"`:          {Advertise: "host"},
		`"host:0"`:        {Advertise: "host:0"},
		`"host:http"`:     {Advertise: "host:http"},
		"Sockets is 257":  {Sockets: 257},
		"2 with Share":    {Sockets: 2, Share: true},
		"ReadBuffer":      {ReadBufferBytes: -1},
		"WriteBuffer":     {WriteBufferBytes: -1},
		"MaxMessage":      {MaxMessage: 1099},
		"MaxLanes":        {MaxLanes: 1<<24 + 1},
		"Silence":         {Silence: time.Millisecond},
		"HelloRate":       {HelloRate: -1},
		"ResetRate":       {ResetRate: -1},
	} {
		if want != "Pool is missing" {
			c.Pool = pool
		}
		err := c.Validate()
		if assert.ErrorContains(t, err, want) {
			assert.NotContains(t, err.Error(), "\n", "one thing is wrong: %v", err)
		}
		_, err = Listen(context.Background(), "127.0.0.1:0", c)
		assert.Error(t, err)
	}
}

func TestRetryPolicyWords(t *testing.T) {
	for _, p := range []RetryPolicy{RetryAuto, RetryAlways, RetryOff} {
		got, err := ParseRetryPolicy(p.String())
		require.NoError(t, err)
		require.Equal(t, p, got)
	}
	_, err := ParseRetryPolicy("sometimes")
	require.ErrorContains(t, err, "auto, always or off")
	require.Equal(t, "RetryPolicy(7)", RetryPolicy(7).String())
}

func TestListenRefuses(t *testing.T) {
	c := Config{Pool: transport.NewPool(0, nil)}
	_, err := Listen(context.Background(), "nonsense", c)
	require.ErrorContains(t, err, "nonsense")
	taken, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	defer taken.Close()
	for _, n := range []int{1, 3} {
		if n > 1 && !shards {
			continue
		}
		c.Sockets = n
		_, err = Listen(context.Background(), taken.LocalAddr().String(), c)
		require.ErrorContains(t, err, "address already in use", "%d sockets", n)
	}
	if shards {
		first, err := Listen(context.Background(), "127.0.0.1:0", c)
		require.NoError(t, err)
		_, err = Listen(context.Background(), first.Addr().String(), c)
		require.ErrorContains(t, err, "address already in use", "two services must not share a port in silence")
		require.NoError(t, first.Close())
	}
}

// What the system does not grant is told, with the setting to raise.
func TestSmallBuffersAreTold(t *testing.T) {
	var log strings.Builder
	s := newSite(t, "127.0.0.1", func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	log.Reset()
	s.sv.warn(opened{read: DefaultReadBuffer, write: DefaultWriteBuffer})
	require.Empty(t, log.String())
	s.sv.warn(opened{read: 212992, write: 106496})
	require.Contains(t, log.String(), "raise net.core.rmem_max\" asked=4194304 granted=212992")
	require.Contains(t, log.String(), "raise net.core.wmem_max\" asked=1048576 granted=106496")
}
