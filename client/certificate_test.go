package client_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/client"
	"strait/client/clienttest"
)

// Options.Certificate is shown on each transport to a gateway that asks for one.
func TestCertificate(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	mine := &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	shown := make(chan []byte, 1)
	g := startBoth(t, clienttest.Config{TLS: func(c *tls.Config) {
		c.ClientAuth = tls.RequireAnyClientCert
		c.VerifyPeerCertificate = func(raw [][]byte, _ [][]*x509.Certificate) error {
			shown <- raw[0]
			return nil
		}
	}})
	for _, transport := range []client.Transport{client.TCP, client.QUIC} {
		t.Run(transport.String(), func(t *testing.T) {
			dial(t, g, client.Options{Transport: transport, Certificate: mine, Reconnect: client.Reconnect{Off: true}})
			assert.Equal(t, der, <-shown)
			_, err := client.Dial(timeout(t), g.Addr(), client.Options{Transport: transport, Pin: g.Pin(), Reconnect: client.Reconnect{Off: true}})
			require.ErrorContains(t, err, "certificate required")
		})
	}
}
