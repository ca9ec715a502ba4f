package grpc

import "strait/upstream/remote"

// The schemes of this carrier.
const (
	Scheme     = "grpc"
	SchemeTLS  = "grpcs"
	SchemeUnix = "grpc+unix"
)

var schemes = remote.Schemes{Plain: Scheme, TLS: SchemeTLS, Unix: SchemeUnix}

// Schemes lists the schemes of this carrier.
func Schemes() []string { return schemes.List() }

// Validate refuses what is not grpc://host:port, grpcs://host:port or
// grpc+unix:///path. The error is a *remote.URLError.
func Validate(raw string) error {
	_, err := schemes.Parse(raw)
	return err
}
