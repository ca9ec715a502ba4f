package tlsconfig_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"strait/transport/tlsconfig"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const alpn = "strait/1"

// pair is a certificate, its own authority, with its key in PEM.
type pair struct {
	cert    *x509.Certificate
	certPEM []byte
	keyPEM  []byte
}

var serial int64

func newPair(t *testing.T, key crypto.Signer, notBefore, notAfter time.Time) pair {
	t.Helper()
	serial++
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(serial),
		Subject:               pkix.Name{CommonName: "edge.example"},
		DNSNames:              []string{"edge.example"},
		NotBefore:             notBefore,
		NotAfter:              notAfter,
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return pair{
		cert:    cert,
		certPEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		keyPEM:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	}
}

func ecdsaKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return key
}

func rsaKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	return key
}

// goodPair is valid for a day from an hour ago.
func goodPair(t *testing.T) pair {
	t.Helper()
	return newPair(t, ecdsaKey(t), time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour))
}

// files are where a pair lies.
type files struct{ cert, key string }

func newFiles(t *testing.T, p pair) files {
	t.Helper()
	dir := t.TempDir()
	f := files{filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")}
	f.write(t, p)
	return f
}

// write replaces the files in one step each, as the programs that renew certificates
// do; the new files have an identity of their own even within the clock's grain.
func (f files) write(t *testing.T, p pair) {
	t.Helper()
	replaceFile(t, f.cert, p.certPEM)
	replaceFile(t, f.key, p.keyPEM)
}

func replaceFile(t *testing.T, name string, data []byte) {
	t.Helper()
	require.NoError(t, os.WriteFile(name+".new", data, 0o600))
	require.NoError(t, os.Rename(name+".new", name))
}

func fingerprint(c *x509.Certificate) [32]byte { return sha256.Sum256(c.Raw) }

// queuedConn is an end of a net.Pipe whose writes do not wait for the reader: both
// sides of TLS may write at once.
type queuedConn struct {
	net.Conn
	queue chan []byte
	done  sync.WaitGroup
}

func newQueuedConn(c net.Conn) *queuedConn {
	q := &queuedConn{Conn: c, queue: make(chan []byte, 64)}
	q.done.Go(func() {
		for b := range q.queue {
			_, _ = c.Write(b) // the other end may be gone
		}
	})
	return q
}

func (q *queuedConn) Write(b []byte) (int, error) {
	q.queue <- append([]byte(nil), b...)
	return len(b), nil
}

// finish sends what is queued and ends the stream.
func (q *queuedConn) finish() {
	close(q.queue)
	q.done.Wait()
	q.Conn.Close()
}

// handshake runs both sides over a pipe and returns what the client and the server
// saw, and their errors.
func handshake(server, client *tls.Config) (state, serverState tls.ConnectionState, serverErr, clientErr error) {
	a, b := net.Pipe()
	serverEnd, clientEnd := newQueuedConn(a), newQueuedConn(b)
	s, c := tls.Server(serverEnd, server), tls.Client(clientEnd, client)
	var wg sync.WaitGroup
	// What each thinks of the other's certificate comes with the first bytes after the
	// handshake.
	wg.Go(func() {
		defer serverEnd.finish()
		if serverErr = s.Handshake(); serverErr == nil {
			_, serverErr = s.Write([]byte("x"))
		}
	})
	if clientErr = c.Handshake(); clientErr == nil {
		_, clientErr = c.Read(make([]byte, 1))
	}
	state = c.ConnectionState()
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		_, _ = io.Copy(io.Discard, b) // lets the server finish what it writes
	}()
	clientEnd.finish()
	wg.Wait()
	<-drained
	return state, s.ConnectionState(), serverErr, clientErr
}

// seenBy returns the certificate that a client is shown.
func seenBy(t *testing.T, server *tls.Config) *x509.Certificate {
	t.Helper()
	state, _, serverErr, clientErr := handshake(server, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{alpn}})
	require.NoError(t, errors.Join(serverErr, clientErr))
	return state.PeerCertificates[0]
}

// logLines collects what is logged.
type logLines struct {
	mu    sync.Mutex
	lines []string
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(p))
	return len(p), nil
}

func (l *logLines) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.lines...)
}

func newLog() (*slog.Logger, *logLines) {
	lines := new(logLines)
	return slog.New(slog.NewTextHandler(lines, nil)), lines
}

func newSource(t *testing.T, c tlsconfig.Config) *tlsconfig.Source {
	t.Helper()
	s, err := tlsconfig.New(c)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}
