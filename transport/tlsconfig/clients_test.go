package tlsconfig_test

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/transport/tlsconfig"
)

// authority signs clients' certificates.
type authority struct {
	pair
	signer tls.Certificate
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	p := goodPair(t)
	signer, err := tls.X509KeyPair(p.certPEM, p.keyPEM)
	require.NoError(t, err)
	return authority{p, signer}
}

// issue returns a client's certificate, or one for another use.
func (a authority) issue(t *testing.T, use x509.ExtKeyUsage, until time.Time) *tls.Certificate {
	t.Helper()
	key := ecdsaKey(t)
	serial++
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "device 7"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: until, ExtKeyUsage: []x509.ExtKeyUsage{use},
	}, a.cert, key.Public(), a.signer.PrivateKey)
	require.NoError(t, err)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// shows is the configuration of a client that shows a certificate; nil: none.
func shows(c *tls.Certificate) *tls.Config {
	t := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{alpn}}
	if c != nil {
		t.Certificates = []tls.Certificate{*c}
	}
	return t
}

func TestClientCertificates(t *testing.T) {
	ours, foreign := newAuthority(t), newAuthority(t)
	file := filepath.Join(t.TempDir(), "clients.pem")
	replaceFile(t, file, ours.certPEM)
	day := time.Now().Add(24 * time.Hour)
	for _, minimum := range []uint16{tls.VersionTLS13, tls.VersionTLS12} {
		config := tlsconfig.Config{ClientCAFile: file, MinVersion: minimum}
		require.NoError(t, config.Validate())
		server := newSource(t, config).Server(alpn)
		for name, tc := range map[string]struct {
			cert *tls.Certificate
			says string // empty: welcome
		}{
			"good":              {ours.issue(t, x509.ExtKeyUsageClientAuth, day), ""},
			"none":              {nil, "the client shows none"},
			"another authority": {foreign.issue(t, x509.ExtKeyUsageClientAuth, day), "unknown authority"},
			"expired":           {ours.issue(t, x509.ExtKeyUsageClientAuth, time.Now().Add(-time.Minute)), "expired"},
			"a server's":        {ours.issue(t, x509.ExtKeyUsageServerAuth, day), "incompatible key usage"},
		} {
			t.Run(tls.VersionName(minimum)+" "+name, func(t *testing.T) {
				client := shows(tc.cert)
				client.MaxVersion = minimum
				_, state, serverErr, clientErr := handshake(server, client)
				if tc.says == "" {
					require.NoError(t, errors.Join(serverErr, clientErr))
					assert.Equal(t, tc.cert.Certificate[0], state.PeerCertificates[0].Raw)
					return
				}
				var refused *tls.CertificateVerificationError
				require.ErrorAs(t, serverErr, &refused)
				assert.ErrorContains(t, serverErr, tc.says)
				assert.ErrorContains(t, clientErr, "bad certificate")
			})
		}
	}
}

// An intermediate that the client sends along leads to the authority.
func TestClientCertificateWithAChain(t *testing.T) {
	root := newAuthority(t)
	key := ecdsaKey(t)
	serial++
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "between"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}, root.cert, key.Public(), root.signer.PrivateKey)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	between := authority{pair{cert: cert}, tls.Certificate{PrivateKey: key}}
	leaf := between.issue(t, x509.ExtKeyUsageClientAuth, time.Now().Add(time.Hour))
	file := filepath.Join(t.TempDir(), "clients.pem")
	replaceFile(t, file, root.certPEM)
	server := newSource(t, tlsconfig.Config{ClientCAFile: file}).Server(alpn)
	_, _, serverErr, _ := handshake(server, shows(leaf))
	assert.ErrorContains(t, serverErr, "unknown authority")
	leaf.Certificate = append(leaf.Certificate, der)
	_, _, serverErr, clientErr := handshake(server, shows(leaf))
	assert.NoError(t, errors.Join(serverErr, clientErr))
}

// The file is read again when it changes, beside a self-signed certificate too, and a
// session that is resumed is held against the new one.
func TestChangedAuthoritiesOfClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, lines := newLog()
		first, second := newAuthority(t), newAuthority(t)
		file := filepath.Join(t.TempDir(), "clients.pem")
		replaceFile(t, file, first.certPEM)
		s, err := tlsconfig.New(tlsconfig.Config{ClientCAFile: file, Logger: log})
		require.NoError(t, err)
		defer s.Close()
		server := s.Server(alpn)
		client := shows(first.issue(t, x509.ExtKeyUsageClientAuth, time.Now().Add(time.Hour)))
		client.ClientSessionCache, client.ServerName = tls.NewLRUClientSessionCache(1), "edge"
		for i := range 2 {
			state, _, serverErr, clientErr := handshake(server, client)
			require.NoError(t, errors.Join(serverErr, clientErr))
			assert.Equal(t, i > 0, state.DidResume)
		}
		look := func() error {
			time.Sleep(31 * time.Second)
			synctest.Wait()
			_, _, serverErr, _ := handshake(server, client)
			return serverErr
		}
		require.NoError(t, os.WriteFile(file, []byte("not PEM"), 0o600))
		for range 2 {
			require.NoError(t, look(), "the old ones stay")
		}
		require.Len(t, lines.all(), 1, "said once")
		assert.Contains(t, lines.all()[0], "not in PEM form")
		require.ErrorContains(t, s.Reload(), "not in PEM form")

		replaceFile(t, file, second.certPEM)
		require.ErrorContains(t, look(), "unknown authority")
		client = shows(second.issue(t, x509.ExtKeyUsageClientAuth, time.Now().Add(time.Hour)))
		require.NoError(t, look())
		require.Len(t, lines.all(), 3)
		assert.Contains(t, lines.all()[2], "authorities of clients' certificates replaced")
		require.NoError(t, s.Reload())
		assert.Len(t, lines.all(), 3, "nothing has changed")
	})
}

func TestAuthoritiesOfClientsThatCannotBeUsed(t *testing.T) {
	dir := t.TempDir()
	for content, says := range map[string]string{"": "is empty", "x": "not in PEM form", string(goodPair(t).keyPEM): "holds no certificate"} {
		file := filepath.Join(dir, "clients.pem")
		replaceFile(t, file, []byte(content))
		_, err := tlsconfig.New(tlsconfig.Config{ClientCAFile: file})
		var blamed *tlsconfig.FileError
		require.ErrorAs(t, err, &blamed)
		assert.Equal(t, file, blamed.Path)
		assert.ErrorContains(t, err, says)
		assert.ErrorContains(t, tlsconfig.Config{ClientCAFile: file}.Validate(), says)
	}
}
