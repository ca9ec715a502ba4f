package client_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"testing"
	"time"

	quicgo "github.com/quic-go/quic-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/client"
	"strait/client/clienttest"
)

func clientCertificate(t *testing.T) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// demand has a gateway ask for a client certificate and look at what it gets.
func demand(look func(der []byte) error) func(*tls.Config) {
	return func(c *tls.Config) {
		c.ClientAuth = tls.RequireAnyClientCert
		c.VerifyPeerCertificate = func(raw [][]byte, _ [][]*x509.Certificate) error { return look(raw[0]) }
	}
}

// Options.Certificate is shown on each transport to a gateway that asks for one.
func TestCertificate(t *testing.T) {
	mine := clientCertificate(t)
	shown := make(chan []byte, 1)
	g := startBoth(t, clienttest.Config{TLS: demand(func(der []byte) error {
		shown <- der
		return nil
	})})
	for _, transport := range []client.Transport{client.TCP, client.QUIC} {
		t.Run(transport.String(), func(t *testing.T) {
			dial(t, g, client.Options{Transport: transport, Certificate: mine, Reconnect: client.Reconnect{Off: true}})
			assert.Equal(t, mine.Certificate[0], <-shown)
		})
	}
}

// A gateway that does not take the client's certificate, or misses one, is told from a
// connection that was lost: at once, on each transport, and by Auto without a second try.
func TestCertificateRefused(t *testing.T) {
	g := startBoth(t, clienttest.Config{TLS: demand(func([]byte) error { return errors.New("not ours") })})
	for _, c := range []struct {
		name  string
		shows *tls.Certificate
		alert tls.AlertError
		says  string
	}{
		{"none", nil, 116, "the gateway wants a certificate of the client, and there is none: tls: certificate required"},
		{"a wrong one", clientCertificate(t), 42, "the gateway refused the client's certificate: tls: bad certificate"},
	} {
		for _, transport := range []client.Transport{client.TCP, client.TCPUDP, client.QUIC, client.Auto} {
			t.Run(c.name+" over "+transport.String(), func(t *testing.T) {
				// Reconnect.First: what is of no use is not tried again.
				err := dialFails(t, client.PhaseTLS, g.Addr(), client.Options{
					Transport: transport, Pin: g.Pin(), Certificate: c.shows, Reconnect: client.Reconnect{First: true},
				})
				assert.ErrorContains(t, err, ": TLS: "+c.says)
				var refused *client.ClientCertificateError
				require.ErrorAs(t, err, &refused)
				assert.Equal(t, c.alert, refused.Alert)
				assert.Equal(t, c.shows != nil, refused.Set)
				var overTCP *net.OpError
				var overQUIC *quicgo.TransportError
				assert.True(t, errors.As(err, &overTCP) || errors.As(err, &overQUIC), "%#v", refused.Err)
			})
		}
	}
}
