package tlsconfig

import (
	"crypto/tls"
	"errors"
	"sync"
	"time"
)

// Upstream returns the gateway's side of a link over TLS, for one or more backends:
// the caller clones it and sets ServerName to each backend's host. Backends are
// verified with the authorities in caFile, or the system's if it is empty. The pair,
// both or neither, is shown to backends that ask; it is loaded again when its files
// have changed by the next connection, and while they do not work the last good pair
// is shown. caFile is read once.
func Upstream(caFile, certFile, keyFile string) (*tls.Config, error) {
	if (certFile == "") != (keyFile == "") {
		return nil, errors.New("certificate and key go together: one of the two files is missing")
	}
	c := &tls.Config{MinVersion: tls.VersionTLS13, DynamicRecordSizingDisabled: true}
	if caFile != "" {
		pool, err := loadPool(caFile)
		if err != nil {
			return nil, err
		}
		c.RootCAs = pool
	}
	if certFile != "" {
		p := &clientPair{certFile: certFile, keyFile: keyFile}
		if _, err := p.get(time.Now()); err != nil {
			return nil, err
		}
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return p.get(time.Now())
		}
	}
	return c, nil
}

// clientPair is a certificate that is loaded again when its files have changed.
type clientPair struct {
	certFile, keyFile string

	mu   sync.Mutex
	cert *tls.Certificate
	seen version
}

// get returns the pair, or the last good one. It fails only if there never was one.
func (p *clientPair) get(now time.Time) (*tls.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	seen := versionOf(p.certFile, p.keyFile)
	if p.cert != nil && p.seen.same(seen) {
		return p.cert, nil
	}
	cert, err := loadPair(p.certFile, p.keyFile, now)
	if err != nil {
		if p.cert != nil {
			return p.cert, nil
		}
		return nil, err
	}
	p.cert, p.seen = cert, seen
	return cert, nil
}
