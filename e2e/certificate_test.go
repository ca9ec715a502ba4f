package e2e

import (
	"crypto/tls"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A certificate from files is renewed with SIGHUP: new connections see the new
// one, sessions go on, and a pair that does not work changes nothing.
func TestCertificateRenewal(t *testing.T) {
	t.Parallel()
	old, renewed := issue(t, "old", nil), issue(t, "renewed", nil)
	certFile, keyFile := old.certFile, old.keyFile
	gw := serve(t, "STRAIT_TLS_CERT_FILE="+certFile, "STRAIT_TLS_KEY_FILE="+keyFile)
	require.Equal(t, old.pin(), gw.pin, "the fingerprint in the log")
	p := join(t, gw)
	p.plays()

	renewed.write(t, certFile, keyFile)
	gw.signal(syscall.SIGHUP)
	gw.logged("a log line about the renewal", func(l string) bool { return strings.Contains(l, "certificate reloaded") })
	_, err := dial(gw, secure(gw))
	require.ErrorContains(t, err, "is not the one")
	gw.pin = renewed.pin()
	join(t, gw).plays()
	p.plays()

	require.NoError(t, os.WriteFile(keyFile, old.keyPEM, 0o600))
	gw.signal(syscall.SIGHUP)
	gw.logged("a log line about the pair that does not match", func(l string) bool {
		return strings.Contains(l, "level=ERROR") && strings.Contains(l, keyFile)
	})
	join(t, gw).plays()
	p.plays()
}

// link+tls: the backend is proven by the operator's own authority, and asks for the
// gateway's certificate.
func TestLinkOverTLS(t *testing.T) {
	t.Parallel()
	ca := issue(t, "game authority", nil)
	backend, gateway := issue(t, "backend", ca), issue(t, "gateway", ca)
	game := listenTLS(t, &tls.Config{
		Certificates: []tls.Certificate{backend.pair(t)},
		ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: ca.pool(),
	})
	gw := serve(t, game.env("STRAIT_UPSTREAM_CA_FILE="+ca.certFile,
		"STRAIT_UPSTREAM_CERT_FILE="+gateway.certFile, "STRAIT_UPSTREAM_KEY_FILE="+gateway.keyFile)...)
	p := join(t, gw)
	p.plays()
	state := game.announced(t, p).on.conn.(*tls.Conn).ConnectionState()
	assert.Equal(t, "gateway", state.PeerCertificates[0].Subject.CommonName)

	t.Run("an impostor", func(t *testing.T) {
		game := listenTLS(t, &tls.Config{Certificates: []tls.Certificate{issue(t, "impostor", nil).pair(t)}})
		gw := serve(t, game.env("STRAIT_UPSTREAM_CA_FILE="+ca.certFile, "STRAIT_UPSTREAM_GRACE=300ms")...)
		gw.polls(func() bool {
			status, why := gw.get("/readyz")
			return status == http.StatusServiceUnavailable && strings.Contains(why, "certificate")
		}, "/readyz does not tell that the backend is not trusted")
		p := join(t, gw)
		p.expectClose(cUpstreamLost)
		assert.Empty(t, game.streams.all())
	})
}

// listenTLS is listenLogic over TLS.
func listenTLS(t testing.TB, conf *tls.Config) *logic {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return serveLogic(t, tls.NewListener(l, conf), "link+tls://"+l.Addr().String())
}
