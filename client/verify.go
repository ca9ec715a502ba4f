package client

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

const alpn = "strait/1"

// Fingerprint is the SHA-256 of a certificate's DER in the form that Options.Pin
// takes: lower-case hex.
func Fingerprint(certificate *x509.Certificate) string {
	sum := sha256.Sum256(certificate.Raw)
	return hex.EncodeToString(sum[:])
}

// VerifyError says that the server was reached but could not be verified. Nothing
// but the TLS handshake was sent to it.
type VerifyError struct {
	// Fingerprint is the SHA-256 of the certificate that the server showed, in the
	// form that Options.Pin takes.
	Fingerprint string
	// Pinned is true when Options.Pin was asked to decide; Err is nil then.
	Pinned bool
	// Err is what is wrong with the certificate, from crypto/x509.
	Err error
}

func (e *VerifyError) Error() string {
	if e.Pinned {
		return fmt.Sprintf("the server's certificate is not a pinned one: it has SHA-256 %s; "+
			"if it was renewed on purpose, pin the new one", e.Fingerprint)
	}
	var name x509.HostnameError
	if errors.As(e.Err, &name) {
		return fmt.Sprintf("the server's certificate is for another name: %v; "+
			"give the name that it is for as server name, or pin this certificate: SHA-256 %s", e.Err, e.Fingerprint)
	}
	return fmt.Sprintf("the server's certificate is not trusted: %v; "+
		"give the CA file of the authority that signed it, or pin this certificate: SHA-256 %s", e.Err, e.Fingerprint)
}

func (e *VerifyError) Unwrap() error { return e.Err }

type pin [sha256.Size]byte

func parsePins(s string) ([]pin, error) {
	var pins []pin
	for part := range strings.SplitSeq(s, ",") {
		digits := strings.ReplaceAll(strings.TrimSpace(part), ":", "")
		b, err := hex.DecodeString(digits)
		if err != nil || len(b) != sha256.Size {
			return nil, fmt.Errorf("pin %q is not a SHA-256 in hex; it should have 64 digits, colons allowed", strings.TrimSpace(part))
		}
		pins = append(pins, pin(b))
	}
	return pins, nil
}

// tlsConfig returns what verifies the server. The name is added for each address.
func (o *Options) tlsConfig() (*tls.Config, error) {
	c := &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: []string{alpn},
		// Writes are as large as a batch of messages; small first records would only
		// add system calls.
		DynamicRecordSizingDisabled: true,
	}
	if o.Certificate != nil {
		c.Certificates = []tls.Certificate{*o.Certificate}
	}
	if o.Pin == "" {
		roots, err := o.roots()
		c.RootCAs = roots
		return c, err
	}
	pins, err := parsePins(o.Pin)
	if err != nil {
		return nil, err
	}
	// The pin is the verification: the handshake proves that the server has the
	// key of the certificate, and the pin that it is the right certificate.
	c.InsecureSkipVerify = true
	c.VerifyConnection = func(s tls.ConnectionState) error {
		seen := sha256.Sum256(s.PeerCertificates[0].Raw)
		match := 0
		for i := range pins {
			match |= subtle.ConstantTimeCompare(seen[:], pins[i][:])
		}
		if match == 1 {
			return nil
		}
		return &VerifyError{Fingerprint: hex.EncodeToString(seen[:]), Pinned: true}
	}
	return c, nil
}
