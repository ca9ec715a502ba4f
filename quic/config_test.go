package quic_test

import (
	"context"
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/quic"
	"strait/transport"
)

func TestConfig(t *testing.T) {
	good := quic.Config{TLS: serverTLS(), Pool: transport.NewPool(0, nil)}
	require.NoError(t, good.Validate())
	for name, spoil := range map[string]func(*quic.Config){
		"TLS is missing":       func(c *quic.Config) { c.TLS = nil },
		"TLS has no cert":      func(c *quic.Config) { c.TLS = &tls.Config{} },
		"TLS.MaxVersion":       func(c *quic.Config) { c.TLS.MaxVersion = tls.VersionTLS12 },
		"Pool":                 func(c *quic.Config) { c.Pool = nil },
		"Retry":                func(c *quic.Config) { c.Retry = 3 },
		"OpenTimeout":          func(c *quic.Config) { c.OpenTimeout = -1 },
		"HandshakeTimeout":     func(c *quic.Config) { c.HandshakeTimeout = -1 },
		"IdleTimeout":          func(c *quic.Config) { c.IdleTimeout = -1 },
		"KeepAlive":            func(c *quic.Config) { c.KeepAlive = -1 },
		"Linger ":              func(c *quic.Config) { c.Linger = -time.Second },
		"Handshakes ":          func(c *quic.Config) { c.Handshakes = -1 },
		"HandshakesPerAddress": func(c *quic.Config) { c.HandshakesPerAddress = -1 },
		"LingerBytes":          func(c *quic.Config) { c.LingerBytes = -1 },
		"ReadBuffer":           func(c *quic.Config) { c.ReadBuffer = -1 },
		"WriteBuffer":          func(c *quic.Config) { c.WriteBuffer = -1 },
		"QLogEvery":            func(c *quic.Config) { c.QLogEvery = -1 },
		"MaxMessage":           func(c *quic.Config) { c.MaxMessage = 16383 },
		"MaxUnreliable":        func(c *quic.Config) { c.MaxUnreliable = 1099 },
		"StreamWindow":         func(c *quic.Config) { c.StreamWindow = 1000 },
		"ConnWindow":           func(c *quic.Config) { c.ConnWindow = 1000 },
		"MaxStreams":           func(c *quic.Config) { c.MaxStreams = 257 },
		"QLogDir":              func(c *quic.Config) { c.QLogDir = "/does/not/exist" },
	} {
		c := good
		c.TLS = serverTLS()
		spoil(&c)
		err := c.Validate()
		require.Error(t, err, name)
		assert.Contains(t, err.Error(), strings.TrimSpace(name))
		assert.Equal(t, 1, strings.Count(err.Error(), "\n")+1, "one thing is wrong: %v", err)
		_, err = quic.Listen(context.Background(), "127.0.0.1:0", c)
		assert.Error(t, err)
	}
}

func TestNames(t *testing.T) {
	assert.Equal(t, "auto always off", quic.RetryAuto.String()+" "+quic.RetryAlways.String()+" "+quic.RetryOff.String())
	for i := range quic.Failures {
		assert.NotEqual(t, "unknown", quic.Failure(i).String())
	}
	for i := range quic.Refusals {
		assert.NotEqual(t, "unknown", quic.Refusal(i).String())
	}
}
