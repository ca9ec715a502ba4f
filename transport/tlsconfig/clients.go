package tlsconfig

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"sync/atomic"
)

// ErrNoCertificate is why a client is refused that shows no certificate.
var ErrNoCertificate = errors.New("the client shows none")

// authorities sign the certificates that clients must show.
type authorities struct {
	file string
	pool atomic.Pointer[x509.CertPool] // nil: clients need none

	// guarded by Source.mu
	seen     version
	lastFail string
}

// load reads the file.
func (a *authorities) load() error {
	seen := versionOf(a.file)
	pool, err := loadPool(a.file)
	if err == nil {
		a.seen = seen
		a.pool.Store(pool)
	}
	return err
}

// verify is VerifyConnection of a listener; its error is a
// [tls.CertificateVerificationError]. It is asked for resumed sessions as well, so that
// an authority that was taken out of the file is good for nobody any more.
func (a *authorities) verify(s tls.ConnectionState) error {
	if len(s.PeerCertificates) == 0 {
		return &tls.CertificateVerificationError{Err: ErrNoCertificate}
	}
	options := x509.VerifyOptions{
		Roots: a.pool.Load(), Intermediates: x509.NewCertPool(),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, cert := range s.PeerCertificates[1:] {
		options.Intermediates.AddCert(cert)
	}
	if _, err := s.PeerCertificates[0].Verify(options); err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: s.PeerCertificates, Err: err}
	}
	return nil
}

// loadPool reads the certificates of authorities.
func loadPool(file string) (*x509.CertPool, error) {
	data, err := readFile(file)
	if err != nil {
		return nil, &FileError{Path: file, Err: err}
	}
	certs, err := parseCerts(data)
	if err != nil {
		return nil, &FileError{Path: file, Err: err}
	}
	pool := x509.NewCertPool()
	for _, cert := range certs {
		pool.AddCert(cert)
	}
	return pool, nil
}
