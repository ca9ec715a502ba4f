package configs_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strait/configs"
)

// writePair makes a certificate that ends at notAfter and returns the files of it
// and its key.
func writePair(t *testing.T, notAfter time.Time) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: notAfter.Add(-48 * time.Hour), NotAfter: notAfter}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	require.NoError(t, os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600))
	return certFile, keyFile
}

func load(t *testing.T, environ ...string) *configs.Config {
	t.Helper()
	c, _, err := configs.Load(environ)
	require.NoError(t, err)
	return c
}

// refused loads an environment that must not load and returns the problems by
// variable.
func refused(t *testing.T, environ ...string) map[string]*configs.Problem {
	t.Helper()
	c, _, err := configs.Load(environ)
	require.Error(t, err)
	require.Nil(t, c)
	var all *configs.Errors
	require.True(t, errors.As(err, &all), "%T", err)
	out := make(map[string]*configs.Problem)
	for _, p := range all.Problems {
		require.NotContains(t, out, p.Variable, "told twice")
		require.NotContains(t, p.Error(), "\n")
		out[p.Variable] = p
	}
	return out
}

// only asserts that exactly one variable has a problem and returns its text.
func only(t *testing.T, variable string, problems map[string]*configs.Problem) string {
	t.Helper()
	require.Len(t, problems, 1)
	require.Contains(t, problems, variable)
	return problems[variable].Error()
}

func value(t *testing.T, c *configs.Config, name string) configs.Value {
	t.Helper()
	for _, v := range c.Values() {
		if v.Name == name {
			return v
		}
	}
	t.Fatalf("%s is not among the values", name)
	return configs.Value{}
}
