package tlsconfig

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// pollFiles is how often files are looked at.
	pollFiles = 30 * time.Second
	// pollSelfSigned is how often the clock is looked at. A timer for the day itself
	// would not count the time that a machine sleeps.
	pollSelfSigned = 10 * time.Minute
	// endsSoon is how long before its end a certificate from a file is warned of; a
	// certificate that is meant to be short-lived only in its last tenth.
	endsSoon = 3 * 24 * time.Hour
)

// Source is the gateway's certificate. Safe for concurrent use.
type Source struct {
	config Config
	log    *slog.Logger

	current atomic.Pointer[tls.Certificate] // never nil; Leaf is set
	clients *authorities                    // nil: clients need no certificate

	mu       sync.Mutex // held while the certificate is replaced
	seen     version    // of the files when they were last read with success
	lastFail string     // what was logged last, so that it is logged once
	warned   bool       // of the end of the current certificate

	closing chan struct{}
	close   sync.Once
	done    sync.WaitGroup
}

// New loads or makes the certificate. The caller closes the source.
func New(c Config) (*Source, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	s := &Source{config: c, log: c.Logger, closing: make(chan struct{})}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	cert, err := s.obtain()
	if err != nil {
		return nil, err
	}
	s.current.Store(cert)
	if c.ClientCAFile != "" {
		s.clients = &authorities{file: c.ClientCAFile}
		if err := s.clients.load(); err != nil {
			return nil, err
		}
	}
	s.warnOfEnd(time.Now())
	every := pollSelfSigned
	if s.fromFiles() || s.clients != nil {
		every = pollFiles
	}
	s.done.Go(func() { s.watch(every) })
	return s, nil
}

// Server returns a configuration for a listener that speaks the given protocols. The
// caller owns it and may change it before use.
func (s *Source) Server(alpn ...string) *tls.Config {
	c := &tls.Config{
		MinVersion:     tls.VersionTLS13,
		CipherSuites:   s.config.CipherSuites,
		NextProtos:     alpn,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.current.Load(), nil },
		// Whole records from the first byte: the listeners write what is queued in as
		// few system calls as they can, and a game's messages are small anyway.
		DynamicRecordSizingDisabled: true,
	}
	if s.config.MinVersion != 0 {
		c.MinVersion = s.config.MinVersion
	}
	if s.clients != nil {
		c.ClientAuth = tls.RequestClientCert // verify refuses, with an error of its own
		c.VerifyConnection = s.clients.verify
	}
	return c
}

// Fingerprint returns the SHA-256 of the current certificate, which clients may pin.
func (s *Source) Fingerprint() [32]byte { return sha256.Sum256(s.current.Load().Leaf.Raw) }

// Certificate returns the current certificate; it must not be changed.
func (s *Source) Certificate() *x509.Certificate { return s.current.Load().Leaf }

// Description says on one line, for a log, what the current certificate is.
func (s *Source) Description() string { return s.describe(s.current.Load()) }

func (s *Source) describe(cert *tls.Certificate) string {
	origin := "self-signed"
	if s.fromFiles() {
		origin = fmt.Sprintf("file %s, subject %s", s.config.CertFile, subject(cert.Leaf))
	}
	return fmt.Sprintf("%s, SHA-256 %s, until %s", origin, fingerprint(cert.Leaf), stamp(cert.Leaf.NotAfter))
}

// subject names a certificate; many carry their names in the alternative names alone.
func subject(leaf *x509.Certificate) string {
	if name := leaf.Subject.String(); name != "" {
		return name
	}
	if len(leaf.DNSNames) > 0 {
		return leaf.DNSNames[0]
	}
	return "(none)"
}

func fingerprint(leaf *x509.Certificate) string {
	sum := sha256.Sum256(leaf.Raw)
	return hex.EncodeToString(sum[:])
}

// Reload loads the files at once, as at SIGHUP. When they cannot be used the error
// says why, it is logged too, and what was in use stays. A self-signed certificate
// stays as it is: clients may have pinned it.
func (s *Source) Reload() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	if s.fromFiles() {
		s.lastFail = ""
		errs = append(errs, s.replace())
	}
	if s.clients != nil {
		s.clients.lastFail = ""
		errs = append(errs, s.replaceClients())
	}
	return errors.Join(errs...)
}

// Close ends the source's goroutine and returns when it has ended. Configurations
// given out go on working with the certificate of that moment.
func (s *Source) Close() error {
	s.close.Do(func() { close(s.closing) })
	s.done.Wait()
	return nil
}

func (s *Source) fromFiles() bool { return s.config.CertFile != "" }

// obtain loads or makes a certificate. The files' version is taken before they are
// read: a change in between is seen at the next look.
func (s *Source) obtain() (*tls.Certificate, error) {
	now := time.Now()
	if !s.fromFiles() {
		hosts := s.config.Hosts
		if len(hosts) == 0 {
			hosts = machineHosts()
		}
		if err := s.config.suits(selfSignedKey); err != nil {
			return nil, err
		}
		return selfSigned(hosts, now)
	}
	seen := versionOf(s.config.CertFile, s.config.KeyFile)
	cert, err := s.config.load(now)
	if err == nil {
		s.seen = seen
	}
	return cert, err
}

func (s *Source) watch(every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-s.closing:
			return
		case <-ticker.C:
			s.look(time.Now())
		}
	}
}

// look replaces the certificate if it is time to. A failure is tried again at every
// look and logged when it is a new one.
func (s *Source) look(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	due := false
	if s.fromFiles() {
		due = !s.seen.same(versionOf(s.config.CertFile, s.config.KeyFile))
	} else {
		due = !now.Before(s.current.Load().Leaf.NotAfter.Add(-selfSignedSpare))
	}
	if due {
		_ = s.replace() // logged there, and tried again
	}
	if s.clients != nil && !s.clients.seen.same(versionOf(s.clients.file)) {
		_ = s.replaceClients() // likewise
	}
	s.warnOfEnd(now)
}

// replace is called with mu held.
func (s *Source) replace() error {
	old := s.current.Load()
	cert, err := s.obtain()
	if err != nil {
		if text := err.Error(); text != s.lastFail {
			s.lastFail = text
			s.log.Error("the new TLS certificate cannot be used; the old one stays", "error", err, "certificate", s.describe(old))
		}
		return err
	}
	s.lastFail = ""
	if slices.EqualFunc(cert.Certificate, old.Certificate, bytes.Equal) {
		return nil
	}
	s.current.Store(cert)
	s.warned = false
	s.log.Info("TLS certificate replaced", "old", fingerprint(old.Leaf), "new", fingerprint(cert.Leaf), "certificate", s.describe(cert))
	return nil
}

// replaceClients is called with mu held.
func (s *Source) replaceClients() error {
	a := s.clients
	old := a.pool.Load()
	if err := a.load(); err != nil {
		if text := err.Error(); text != a.lastFail {
			a.lastFail = text
			s.log.Error("the new authorities of clients' certificates cannot be used; the old ones stay", "error", err)
		}
		return err
	}
	a.lastFail = ""
	if !a.pool.Load().Equal(old) {
		s.log.Info("authorities of clients' certificates replaced", "file", a.file)
	}
	return nil
}

// warnOfEnd warns once of a certificate that ends soon.
func (s *Source) warnOfEnd(now time.Time) {
	leaf := s.current.Load().Leaf
	spare := min(endsSoon, leaf.NotAfter.Sub(leaf.NotBefore)/10)
	if s.warned || !s.fromFiles() || now.Before(leaf.NotAfter.Add(-spare)) {
		return
	}
	s.warned = true
	s.log.Warn("the TLS certificate ends soon, and clients will refuse it then", "certificate", s.Description())
}
