package tlsconfig_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/transport/tlsconfig"
)

func TestVersionsAndSuites(t *testing.T) {
	const suite = tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
	client := func(maximum uint16, suites ...uint16) *tls.Config {
		return &tls.Config{InsecureSkipVerify: true, NextProtos: []string{alpn}, MaxVersion: maximum, CipherSuites: suites}
	}
	s := newSource(t, tlsconfig.Config{})
	_, _, serverErr, clientErr := handshake(s.Server(alpn), client(tls.VersionTLS12))
	assert.Error(t, errors.Join(serverErr, clientErr), "1.3 is the default")
	assert.Error(t, clientErr)

	s = newSource(t, tlsconfig.Config{MinVersion: tls.VersionTLS12, CipherSuites: []uint16{suite}})
	state, _, serverErr, clientErr := handshake(s.Server(alpn), client(tls.VersionTLS12))
	require.NoError(t, errors.Join(serverErr, clientErr))
	assert.Equal(t, uint16(suite), state.CipherSuite)
	assert.Equal(t, alpn, state.NegotiatedProtocol)
	_, _, _, clientErr = handshake(s.Server(alpn), client(tls.VersionTLS12, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384))
	assert.Error(t, clientErr, "a suite that was not chosen")
	state, _, serverErr, clientErr = handshake(s.Server(alpn), client(0))
	require.NoError(t, errors.Join(serverErr, clientErr))
	assert.Equal(t, uint16(tls.VersionTLS13), state.Version)

	_, _, serverErr, clientErr = handshake(s.Server(alpn), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	assert.Error(t, serverErr)
	assert.ErrorContains(t, clientErr, "no application protocol")
}

func TestServerConfigurationsAreIndependent(t *testing.T) {
	s := newSource(t, tlsconfig.Config{})
	a := s.Server("a")
	a.NextProtos[0] = "changed"
	assert.Equal(t, []string{"a"}, s.Server("a").NextProtos)
	assert.True(t, a.DynamicRecordSizingDisabled)
}

func TestPoliciesThatAreRefused(t *testing.T) {
	p := newPair(t, rsaKey(t), time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	f := newFiles(t, p)
	for name, tc := range map[string]struct {
		config tlsconfig.Config
		says   string
	}{
		"certificate alone":   {tlsconfig.Config{CertFile: f.cert}, "go together"},
		"key alone":           {tlsconfig.Config{KeyFile: f.key}, "go together"},
		"TLS 1.1":             {tlsconfig.Config{MinVersion: tls.VersionTLS11}, "TLS 1.1 cannot be the minimum"},
		"a version from hell": {tlsconfig.Config{MinVersion: 7}, "cannot be the minimum"},
		"suites with 1.3":     {tlsconfig.Config{CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}}, "cannot be chosen"},
		"a suite of 1.3":      {tlsconfig.Config{MinVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_AES_128_GCM_SHA256}}, "not a secure cipher suite of TLS 1.2"},
		"insecure":            {tlsconfig.Config{MinVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_RC4_128_SHA}}, "not a secure"},
		"RSA for ECDSA":       {tlsconfig.Config{MinVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}}, "needs one with ECDSA"},
		"ECDSA for RSA":       {tlsconfig.Config{CertFile: f.cert, KeyFile: f.key, MinVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}}, "needs one with RSA"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := tlsconfig.New(tc.config)
			assert.ErrorContains(t, err, tc.says)
			assert.ErrorContains(t, tc.config.Validate(), tc.says)
		})
	}
	good := tlsconfig.Config{CertFile: f.cert, KeyFile: f.key, MinVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}}
	require.NoError(t, good.Validate())
	require.NoError(t, tlsconfig.Config{}.Validate())
	s := newSource(t, good)
	assert.Equal(t, p.cert.Raw, seenBy(t, s.Server(alpn)).Raw)
}

func TestUpstream(t *testing.T) {
	backend, gateway, stranger := goodPair(t), goodPair(t), goodPair(t)
	bf, gf, sf := newFiles(t, backend), newFiles(t, gateway), newFiles(t, stranger)
	s := newSource(t, tlsconfig.Config{CertFile: bf.cert, KeyFile: bf.key})
	server := s.Server("link")
	dial := func(c *tls.Config) (tls.ConnectionState, error, error) {
		c = c.Clone()
		c.ServerName, c.NextProtos = "edge.example", []string{"link"}
		_, seen, serverErr, clientErr := handshake(server, c)
		return seen, serverErr, clientErr
	}

	c, err := tlsconfig.Upstream(bf.cert, "", "")
	require.NoError(t, err)
	_, serverErr, clientErr := dial(c)
	require.NoError(t, errors.Join(serverErr, clientErr))

	var unknown x509.UnknownAuthorityError
	for _, ca := range []string{"", sf.cert} {
		c, err = tlsconfig.Upstream(ca, "", "")
		require.NoError(t, err)
		_, _, clientErr = dial(c)
		assert.ErrorAs(t, clientErr, &unknown, "ca %q", ca)
	}

	// Backends that ask for a certificate.
	pool := x509.NewCertPool()
	pool.AddCert(gateway.cert)
	server.ClientCAs, server.ClientAuth = pool, tls.RequireAndVerifyClientCert
	c, err = tlsconfig.Upstream(bf.cert, "", "")
	require.NoError(t, err)
	_, serverErr, _ = dial(c)
	assert.Error(t, serverErr, "none to show")

	c, err = tlsconfig.Upstream(bf.cert, gf.cert, gf.key)
	require.NoError(t, err)
	seen, serverErr, clientErr := dial(c)
	require.NoError(t, errors.Join(serverErr, clientErr))
	assert.Equal(t, gateway.cert.Raw, seen.PeerCertificates[0].Raw)

	// A renewed pair is shown at the next connection; half a pair is not.
	renewed := goodPair(t)
	pool.AddCert(renewed.cert)
	replaceFile(t, gf.key, renewed.keyPEM)
	seen, serverErr, clientErr = dial(c)
	require.NoError(t, errors.Join(serverErr, clientErr))
	assert.Equal(t, gateway.cert.Raw, seen.PeerCertificates[0].Raw)
	replaceFile(t, gf.cert, renewed.certPEM)
	seen, serverErr, clientErr = dial(c)
	require.NoError(t, errors.Join(serverErr, clientErr))
	assert.Equal(t, renewed.cert.Raw, seen.PeerCertificates[0].Raw)
}

func TestUpstreamThatIsRefused(t *testing.T) {
	p := goodPair(t)
	f := newFiles(t, p)
	for _, tc := range []struct{ ca, cert, key, says string }{
		{"", f.cert, "", "go together"},
		{"", "", f.key, "go together"},
		{f.key, "", "", f.key + ": holds no certificate"},
		{"/nowhere/ca.crt", "", "", "/nowhere/ca.crt: cannot be read: "},
		{f.cert, f.cert, "/nowhere/tls.key", "/nowhere/tls.key: cannot be read: "},
		{f.cert, filepath.Dir(f.cert), f.key, "cannot be read: is a directory"},
	} {
		_, err := tlsconfig.Upstream(tc.ca, tc.cert, tc.key)
		assert.ErrorContains(t, err, tc.says)
	}
	require.NoError(t, os.Remove(f.key))
	_, err := tlsconfig.Upstream("", f.cert, f.key)
	assert.ErrorIs(t, err, os.ErrNotExist)
}

func TestConcurrentUse(t *testing.T) {
	first, second := goodPair(t), goodPair(t)
	f := newFiles(t, first)
	s := newSource(t, tlsconfig.Config{CertFile: f.cert, KeyFile: f.key})
	known := map[[32]byte]bool{fingerprint(first.cert): true, fingerprint(second.cert): true}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			server := s.Server(alpn)
			for range 10 {
				assert.True(t, known[fingerprint(seenBy(t, server))])
				assert.NotEmpty(t, s.Description())
			}
		})
	}
	f.write(t, second)
	assert.NoError(t, s.Reload())
	wg.Wait()
	assert.Equal(t, fingerprint(second.cert), s.Fingerprint())
}
