package link

import "strait/upstream/remote"

// The schemes of this carrier.
const (
	Scheme     = "link"
	SchemeTLS  = "link+tls"
	SchemeUnix = "link+unix"
)

var schemes = remote.Schemes{Plain: Scheme, TLS: SchemeTLS, Unix: SchemeUnix}

// Schemes lists the schemes of this carrier.
func Schemes() []string { return schemes.List() }

// Validate refuses what is not link://host:port, link+tls://host:port or
// link+unix:///path. The error is a *remote.URLError.
func Validate(raw string) error {
	_, err := schemes.Parse(raw)
	return err
}
