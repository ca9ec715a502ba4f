package e2e

import (
	"crypto/tls"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// failure names the sample that counts failed handshakes.
func failure(reason string) string {
	return `strait_tcp_handshake_failures_total{reason="` + reason + `"}`
}

func TestTLSPolicy(t *testing.T) {
	t.Parallel()
	gw := serve(t)
	other := accompany(t, gw)
	for _, c := range []struct {
		name, reason string
		change       func(*tls.Config)
	}{
		{"TLS 1.2", "version", func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 }},
		{"no ALPN", "alpn", func(c *tls.Config) { c.NextProtos = nil }},
		{"another ALPN", "alpn", func(c *tls.Config) { c.NextProtos = []string{"h2", "http/1.1"} }},
		{"another version of ours", "alpn", func(c *tls.Config) { c.NextProtos = []string{"strait/2"} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			conf := secure(gw)
			c.change(conf)
			before := gw.metric(failure(c.reason))
			conn, err := dial(gw, conf)
			if err == nil {
				conn.Close()
			}
			var alert *net.OpError
			require.ErrorAs(t, err, &alert)
			assert.Equal(t, "remote error", alert.Op, "the client is told with an alert: %v", err)
			gw.reaches(failure(c.reason), before+1)
			other.undisturbed(t)
		})
	}
	t.Run("ours among others", func(t *testing.T) {
		conf := secure(gw)
		conf.NextProtos = []string{"h2", "strait/1"}
		conn, err := dial(gw, conf)
		require.NoError(t, err)
		assert.Equal(t, "strait/1", conn.ConnectionState().NegotiatedProtocol)
		assert.EqualValues(t, tls.VersionTLS13, conn.ConnectionState().Version)
		p := playerOn(t, conn)
		p.write(clientHello())
		p.welcome()
		p.plays()
	})
}

func TestTLS12WhereTheOperatorAllowsIt(t *testing.T) {
	t.Parallel()
	gw := serve(t, "STRAIT_TLS_MIN_VERSION=1.2", "STRAIT_TLS_CIPHER_SUITES=TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256")
	conf := secure(gw)
	conf.MinVersion, conf.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	conn, err := dial(gw, conf)
	require.NoError(t, err)
	assert.EqualValues(t, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, conn.ConnectionState().CipherSuite)
	p := playerOn(t, conn)
	p.write(clientHello())
	p.welcome()
	p.plays()
	p.write(closing(cNormal, "bye"))
	p.expectClose(cNormal)

	conf = secure(gw)
	conf.MinVersion, conf.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	conf.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}
	_, err = dial(gw, conf)
	require.Error(t, err, "a suite that the operator did not name")

	conf = secure(gw)
	conf.MinVersion, conf.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	conf.NextProtos = nil
	_, err = dial(gw, conf)
	require.Error(t, err, "ALPN is required with TLS 1.2, too")

	join(t, gw).plays() // and 1.3 goes on
}
