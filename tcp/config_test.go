package tcp_test

import (
	"crypto/tls"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/tcp"
	"strait/transport"
)

func TestConfigValidate(t *testing.T) {
	good := func() tcp.Config {
		return tcp.Config{TLS: serverTLS(), Pool: transport.NewPool(0, nil)}
	}
	require.NoError(t, good().Validate())
	for _, c := range []struct {
		says   string
		change func(*tcp.Config)
	}{
		{"TLS is missing", func(c *tcp.Config) { c.TLS = nil }},
		{"no certificate", func(c *tcp.Config) { c.TLS = &tls.Config{} }},
		{"TLS.MinVersion is TLS 1.1", func(c *tcp.Config) { c.TLS.MinVersion = tls.VersionTLS11 }},
		{"TLS.MaxVersion is TLS 1.2", func(c *tcp.Config) { c.TLS.MaxVersion = tls.VersionTLS12 }},
		{"TLS.MaxVersion is TLS 1.2", func(c *tcp.Config) { c.TLS.MinVersion, c.TLS.MaxVersion = tls.VersionTLS13, tls.VersionTLS12 }},
		{"Pool is missing", func(c *tcp.Config) { c.Pool = nil }},
		{"OpenTimeout is -1s", func(c *tcp.Config) { c.OpenTimeout = -time.Second }},
		{"MaxMessage is 16383 bytes", func(c *tcp.Config) { c.MaxMessage = 16383 }},
		{"MaxMessage is 16777214 bytes", func(c *tcp.Config) { c.MaxMessage = 1<<24 - 2 }},
		{"Linger is -1s", func(c *tcp.Config) { c.Linger = -time.Second }},
		{"LingerBytes is -1", func(c *tcp.Config) { c.LingerBytes = -1 }},
		{"MaxUnreliable is 1099 bytes", func(c *tcp.Config) { c.MaxUnreliable = 1099 }},
	} {
		bad := good()
		c.change(&bad)
		require.ErrorContains(t, bad.Validate(), c.says)
		_, err := tcp.Listen(t.Context(), "127.0.0.1:0", bad)
		assert.ErrorContains(t, err, c.says)
		fake := &fakeListener{}
		_, err = tcp.New(fake, bad)
		assert.ErrorContains(t, err, c.says)
		assert.True(t, fake.closed.Load(), "New takes the listener also on error")
	}
	old := good()
	old.TLS.MinVersion, old.TLS.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	assert.NoError(t, old.Validate())
}

func TestListenSaysWhatIsWrong(t *testing.T) {
	_, err := tcp.Listen(t.Context(), "no-port", tcp.Config{TLS: serverTLS(), Pool: transport.NewPool(0, nil)})
	assert.ErrorContains(t, err, "no-port")
}
