package grpc

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"strait/upstream/remote"
)

// The schemes of this carrier.
const (
	Scheme     = "grpc"
	SchemeTLS  = "grpcs"
	SchemeUnix = "grpc+unix"
)

// Schemes lists the schemes of this carrier.
func Schemes() []string { return []string{Scheme, SchemeTLS, SchemeUnix} }

// URLError refuses the URL of a backend and says what would be right.
type URLError struct {
	URL  string
	Want string
}

func (e *URLError) Error() string { return fmt.Sprintf("backend %q: %s", e.URL, e.Want) }

// Validate refuses what is not grpc://host:port, grpcs://host:port or
// grpc+unix:///path. The error is a *URLError.
func Validate(raw string) error {
	_, err := parse(raw)
	return err
}

func parse(raw string) (remote.Endpoint, error) {
	refuse := func(format string, args ...any) (remote.Endpoint, error) {
		return remote.Endpoint{}, &URLError{URL: raw, Want: fmt.Sprintf(format, args...)}
	}
	u, err := url.Parse(raw)
	if err != nil {
		if ue := (*url.Error)(nil); errors.As(err, &ue) {
			err = ue.Err
		}
		return refuse("%v; write it as grpc://host:port", err)
	}
	switch {
	case !slices.Contains(Schemes(), u.Scheme):
		return refuse("the scheme must be one of %s", strings.Join(Schemes(), ", "))
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.Opaque != "":
		return refuse("there must be nothing but %s", form(u.Scheme))
	case u.Scheme == SchemeUnix:
		if u.Host != "" || len(u.Path) < 2 {
			return refuse("the path of the socket must be absolute, as in grpc+unix:///run/game.sock")
		}
		return remote.Endpoint{URL: raw, Network: "unix", Path: u.Path}, nil
	case u.Path != "" && u.Path != "/":
		return refuse("there must be no path, only %s", form(u.Scheme))
	}
	host, port, err := net.SplitHostPort(u.Host)
	if err != nil || host == "" {
		return refuse("it must name a host and a port, as in %s", form(u.Scheme))
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return refuse("the port must be a number from 1 to 65535")
	}
	return remote.Endpoint{URL: raw, Network: "tcp", Host: host, Port: uint16(n), Secure: u.Scheme == SchemeTLS}, nil
}

// form is what a URL of a scheme looks like.
func form(scheme string) string {
	if scheme == SchemeUnix {
		return "grpc+unix:///path"
	}
	return scheme + "://host:port"
}
