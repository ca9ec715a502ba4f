// Package tlsconfig is the TLS policy of every transport that uses TLS, and of links
// to backends: which certificate, which versions, which suites, whose clients.
//
// It owns the gateway's certificate, and the authorities of clients' certificates where
// clients need one, for as long as the process runs. It opens no socket and chooses no
// protocol. It imports the standard library alone.
//
//  1. [New] loads the pair of files, or makes a self-signed certificate, and starts
//     the one goroutine that looks after it.
//  2. [Source.Server] gives a configuration whose GetCertificate asks the source at
//     every handshake, so that a new certificate needs no restart and no new listener.
//  3. The goroutine loads the files again when they change, or makes a new self-signed
//     certificate well before the old one ends; a handshake sees the old certificate or
//     the new one, never an unfinished one.
//  4. With authorities for clients every handshake, a resumed one too, is held against
//     those of the moment, and fails with a [tls.CertificateVerificationError].
//  5. [Upstream] is the other direction: the client's side of a link over TLS.
package tlsconfig

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// Config says what the gateway shows and accepts. The zero Config is a self-signed
// certificate and TLS 1.3.
type Config struct {
	// CertFile and KeyFile are the PEM files of the certificate with its chain and of
	// its key. Both or neither; neither means self-signed.
	CertFile, KeyFile string
	// ClientCAFile is a PEM file with the authorities whose certificates clients must
	// show; empty means that clients need none.
	ClientCAFile string
	// MinVersion is tls.VersionTLS13, which 0 means too, or tls.VersionTLS12.
	MinVersion uint16
	// CipherSuites are for TLS 1.2 and need that MinVersion; none means Go's choice.
	CipherSuites []uint16
	// Hosts are the names and IP addresses of a self-signed certificate; none means
	// localhost, the loopback addresses, the machine's name and its other addresses.
	Hosts []string
	// Logger is told when the certificate changes or cannot; nil means nobody.
	Logger *slog.Logger
}

// Validate refuses what [New] would refuse; it reads the files.
func (c Config) Validate() error {
	if err := c.validate(); err != nil {
		return err
	}
	if c.ClientCAFile != "" {
		if _, err := loadPool(c.ClientCAFile); err != nil {
			return err
		}
	}
	if c.CertFile == "" {
		return c.suits(selfSignedKey)
	}
	_, err := c.load(time.Now())
	return err
}

// validate checks everything but the files.
func (c Config) validate() error {
	if (c.CertFile == "") != (c.KeyFile == "") {
		return errors.New("certificate and key go together: one of the two files is missing")
	}
	switch c.MinVersion {
	case 0, tls.VersionTLS13:
		if len(c.CipherSuites) > 0 {
			return errors.New("the cipher suites of TLS 1.3 cannot be chosen; choosing those of TLS 1.2 needs it as the minimum version")
		}
	case tls.VersionTLS12:
	default:
		return fmt.Errorf("%s cannot be the minimum version; TLS 1.2 and TLS 1.3 can", tls.VersionName(c.MinVersion))
	}
	for _, id := range c.CipherSuites {
		if !slices.ContainsFunc(tls.CipherSuites(), func(s *tls.CipherSuite) bool {
			return s.ID == id && slices.Contains(s.SupportedVersions, tls.VersionTLS12)
		}) {
			return fmt.Errorf("%s is not a secure cipher suite of TLS 1.2", tls.CipherSuiteName(id))
		}
	}
	return nil
}

// suits refuses a key with which no configured suite of TLS 1.2 could work: clients
// of that version would see nothing but failing handshakes.
func (c Config) suits(key x509.PublicKeyAlgorithm) error {
	if len(c.CipherSuites) == 0 {
		return nil
	}
	auth, kind := "_ECDSA_", "an ECDSA or Ed25519 key needs one with ECDSA"
	if key == x509.RSA {
		auth, kind = "_RSA_", "an RSA key needs one with RSA"
	}
	if slices.ContainsFunc(c.CipherSuites, func(id uint16) bool {
		return strings.Contains(tls.CipherSuiteName(id), auth)
	}) {
		return nil
	}
	return fmt.Errorf("none of the cipher suites works with the certificate: %s", kind)
}

// load reads the pair of files and refuses a certificate that clients would refuse.
func (c Config) load(now time.Time) (*tls.Certificate, error) {
	cert, err := loadPair(c.CertFile, c.KeyFile, now)
	if err != nil {
		return nil, err
	}
	if err := c.suits(cert.Leaf.PublicKeyAlgorithm); err != nil {
		return nil, err
	}
	return cert, nil
}
