package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// credential is a certificate with its key, in memory and as PEM files.
type credential struct {
	leaf              *x509.Certificate
	key               *ecdsa.PrivateKey
	certPEM, keyPEM   []byte
	certFile, keyFile string
}

// issue makes a certificate for 127.0.0.1 and localhost; by is who signs it, nil
// is itself, an authority.
func issue(t testing.TB, name string, by *credential) *credential {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(100 * 24 * time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		KeyUsage:              x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
	}
	parent, signer := template, key
	if by == nil {
		template.IsCA = true
		template.KeyUsage |= x509.KeyUsageCertSign
	} else {
		parent, signer = by.leaf, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	require.NoError(t, err)
	c := &credential{key: key}
	c.leaf, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	c.certPEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	c.keyPEM = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
	dir := t.TempDir()
	c.write(t, filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	return c
}

// write puts the pair into files, each of them at once.
func (c *credential) write(t testing.TB, certFile, keyFile string) {
	t.Helper()
	c.certFile, c.keyFile = certFile, keyFile
	for name, b := range map[string][]byte{certFile: c.certPEM, keyFile: c.keyPEM} {
		require.NoError(t, os.WriteFile(name+".new", b, 0o600))
		require.NoError(t, os.Rename(name+".new", name))
	}
}

func (c *credential) pin() []byte {
	sum := sha256.Sum256(c.leaf.Raw)
	return sum[:]
}

func (c *credential) pair(t testing.TB) tls.Certificate {
	t.Helper()
	pair, err := tls.X509KeyPair(c.certPEM, c.keyPEM)
	require.NoError(t, err)
	return pair
}

// pool trusts c alone.
func (c *credential) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(c.leaf)
	return pool
}
