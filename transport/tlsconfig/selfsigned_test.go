package tlsconfig_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/transport/tlsconfig"
)

func TestSelfSignedCertificate(t *testing.T) {
	s := newSource(t, tlsconfig.Config{})
	cert := seenBy(t, s.Server(alpn))
	assert.Equal(t, fingerprint(cert), s.Fingerprint())

	// What browsers ask of a certificate that they are given by its hash.
	key, ok := cert.PublicKey.(*ecdsa.PublicKey)
	require.True(t, ok)
	assert.Equal(t, elliptic.P256(), key.Curve)
	assert.Equal(t, 13*24*time.Hour, cert.NotAfter.Sub(cert.NotBefore))
	assert.True(t, cert.NotBefore.Before(time.Now()))

	for _, host := range []string{"localhost", "127.0.0.1", "::1"} {
		assert.NoError(t, cert.VerifyHostname(host))
	}
	if name, err := os.Hostname(); assert.NoError(t, err) {
		assert.Contains(t, cert.DNSNames, name)
	}
	sum := s.Fingerprint()
	assert.Equal(t, "self-signed, SHA-256 "+hex.EncodeToString(sum[:])+", until "+cert.NotAfter.UTC().Format(time.RFC3339), s.Description())
	assert.NoError(t, s.Reload())
	assert.Equal(t, sum, s.Fingerprint(), "Reload keeps what clients may have pinned")
}

func TestSelfSignedForHosts(t *testing.T) {
	s := newSource(t, tlsconfig.Config{Hosts: []string{"edge.example", "10.1.2.3"}})
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	for _, host := range []string{"edge.example", "10.1.2.3"} {
		_, _, serverErr, clientErr := handshake(s.Server(alpn), &tls.Config{RootCAs: roots, ServerName: host, NextProtos: []string{alpn}})
		assert.NoError(t, errors.Join(serverErr, clientErr), "verifies with itself as the authority")
	}
	_, _, _, err := handshake(s.Server(alpn), &tls.Config{RootCAs: roots, ServerName: "localhost", NextProtos: []string{alpn}})
	var wrongHost x509.HostnameError
	assert.ErrorAs(t, err, &wrongHost)
}

func TestTwoSourcesDiffer(t *testing.T) {
	a, b := newSource(t, tlsconfig.Config{}), newSource(t, tlsconfig.Config{})
	assert.NotEqual(t, a.Fingerprint(), b.Fingerprint())
	assert.NotEqual(t, a.Certificate().SerialNumber, b.Certificate().SerialNumber)
}

func TestSelfSignedIsRenewedInTheRunningProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, lines := newLog()
		s, err := tlsconfig.New(tlsconfig.Config{Logger: log, Hosts: []string{"edge.example"}})
		require.NoError(t, err)
		defer s.Close()
		server := s.Server(alpn)
		seen := map[[32]byte]bool{}
		var last *x509.Certificate
		for day := range 60 {
			time.Sleep(24 * time.Hour)
			synctest.Wait()
			cert := seenBy(t, server)
			assert.Equal(t, fingerprint(cert), s.Fingerprint())
			assert.True(t, time.Now().After(cert.NotBefore))
			assert.Greater(t, time.Until(cert.NotAfter), 2*24*time.Hour, "day %d", day)
			seen[fingerprint(cert)] = true
			last = cert
		}
		assert.Len(t, seen, 7, "a new one every ten days, less the hour that they begin early")
		require.Len(t, lines.all(), 6)
		sum := fingerprint(last)
		line := lines.all()[5]
		assert.Contains(t, line, "new="+hex.EncodeToString(sum[:]))
		_, old, _ := strings.Cut(lines.all()[4], "new=")
		old, _, _ = strings.Cut(old, " ")
		assert.Contains(t, line, "old="+old)
	})
}

func TestCloseIsIdempotentAndLeavesConfigurationsWorking(t *testing.T) {
	s, err := tlsconfig.New(tlsconfig.Config{})
	require.NoError(t, err)
	server := s.Server(alpn)
	require.NoError(t, s.Close())
	require.NoError(t, s.Close())
	assert.Equal(t, s.Fingerprint(), fingerprint(seenBy(t, server)))
}
