package tlsconfig

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// FileError says which file is to blame and why.
type FileError struct {
	Path string
	Key  bool // it was read for the key; one file may hold the certificate, too
	Err  error
}

func (e *FileError) Error() string { return e.Path + ": " + e.Err.Error() }
func (e *FileError) Unwrap() error { return e.Err }

// Problems of a certificate that have to do with the time.
var (
	ErrExpired     = errors.New("the certificate has expired")
	ErrNotYetValid = errors.New("the certificate is not valid yet")
)

// loadPair reads a certificate with its chain and the key that belongs to it.
func loadPair(certFile, keyFile string, now time.Time) (*tls.Certificate, error) {
	certPEM, err := readFile(certFile)
	if err != nil {
		return nil, &FileError{Path: certFile, Err: err}
	}
	keyPEM, err := readFile(keyFile)
	if err == nil {
		err = checkKey(keyPEM)
	}
	if err != nil {
		return nil, &FileError{Path: keyFile, Key: true, Err: err}
	}
	certs, err := parseCerts(certPEM)
	if err != nil {
		return nil, &FileError{Path: certFile, Err: err}
	}
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		err = fmt.Errorf("not usable as the key of %s: %s", certFile, strings.TrimPrefix(err.Error(), "tls: "))
		return nil, &FileError{Path: keyFile, Key: true, Err: err}
	}
	cert.Leaf = certs[0]
	if err := checkTime(cert.Leaf, now); err != nil {
		return nil, &FileError{Path: certFile, Err: err}
	}
	return &cert, nil
}

// readFile reads a file whole; its error does not repeat the name.
func readFile(name string) ([]byte, error) {
	data, err := os.ReadFile(name)
	if err == nil {
		return data, nil
	}
	var pathErr *os.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	return nil, fmt.Errorf("cannot be read: %w", err)
}

func checkKey(data []byte) error {
	seen := false
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		seen = true
		switch {
		case block.Type == "ENCRYPTED PRIVATE KEY", strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
			return errors.New("the key is encrypted; the gateway needs it decrypted (openssl pkey -in … -out …)")
		case block.Type == "PRIVATE KEY", strings.HasSuffix(block.Type, " PRIVATE KEY"):
			return nil
		}
	}
	if seen {
		return errors.New("holds no private key")
	}
	return errNoPEM(data)
}

// parseCerts returns every certificate of a file; there is at least one.
func parseCerts(data []byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	seen := false
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		seen = true
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d cannot be parsed: %s", len(out)+1, strings.TrimPrefix(err.Error(), "x509: "))
		}
		out = append(out, cert)
	}
	switch {
	case len(out) > 0:
		return out, nil
	case seen:
		return nil, errors.New("holds no certificate")
	}
	return nil, errNoPEM(data)
}

func errNoPEM(data []byte) error {
	switch {
	case len(bytes.TrimSpace(data)) == 0:
		return errors.New("is empty")
	case data[0] == 0x30: // an ASN.1 sequence
		return errors.New("is binary (DER); PEM is needed")
	}
	return errors.New("is not in PEM form")
}

func checkTime(leaf *x509.Certificate, now time.Time) error {
	switch {
	case now.After(leaf.NotAfter):
		return fmt.Errorf("%w, at %s", ErrExpired, stamp(leaf.NotAfter))
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("%w, only from %s", ErrNotYetValid, stamp(leaf.NotBefore))
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// version identifies the contents of files without reading them. Symbolic links are
// followed, so that a link that is turned to another file (as Kubernetes updates
// secrets) is a change.
type version []os.FileInfo

// versionOf returns nil if one of the files cannot be looked at.
func versionOf(names ...string) version {
	out := make(version, 0, len(names))
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			return nil
		}
		out = append(out, info)
	}
	return out
}

func (v version) same(w version) bool {
	if v == nil || len(v) != len(w) {
		return false
	}
	for i := range v {
		if v[i].Size() != w[i].Size() || !v[i].ModTime().Equal(w[i].ModTime()) || !os.SameFile(v[i], w[i]) {
			return false
		}
	}
	return true
}
