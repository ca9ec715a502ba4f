package remote

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Schemes are the three schemes of URLs that a carrier has: plain://host:port,
// tls://host:port and unix:///path.
type Schemes struct{ Plain, TLS, Unix string }

// List returns them.
func (s Schemes) List() []string { return []string{s.Plain, s.TLS, s.Unix} }

// URLError refuses the URL of a backend and says what would be right.
type URLError struct {
	URL  string
	Want string
}

func (e *URLError) Error() string { return fmt.Sprintf("backend %q: %s", e.URL, e.Want) }

// Parse takes a backend's URL apart. The error is a *URLError.
func (s Schemes) Parse(raw string) (Endpoint, error) {
	refuse := func(format string, args ...any) (Endpoint, error) {
		return Endpoint{}, &URLError{URL: raw, Want: fmt.Sprintf(format, args...)}
	}
	u, err := url.Parse(raw)
	if err != nil {
		if ue := (*url.Error)(nil); errors.As(err, &ue) {
			err = ue.Err
		}
		return refuse("%v; write it as %s", err, s.form(s.Plain))
	}
	switch {
	case !slices.Contains(s.List(), u.Scheme):
		return refuse("the scheme must be one of %s", strings.Join(s.List(), ", "))
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.Opaque != "":
		return refuse("there must be nothing but %s", s.form(u.Scheme))
	case u.Scheme == s.Unix:
		if u.Host != "" || len(u.Path) < 2 {
			return refuse("the path of the socket must be absolute, as in %s:///run/game.sock", s.Unix)
		}
		return Endpoint{URL: raw, Network: "unix", Path: u.Path}, nil
	case u.Path != "" && u.Path != "/":
		return refuse("there must be no path, only %s", s.form(u.Scheme))
	}
	host, port, err := net.SplitHostPort(u.Host)
	if err != nil || host == "" {
		return refuse("it must name a host and a port, as in %s", s.form(u.Scheme))
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return refuse("the port must be a number from 1 to 65535")
	}
	return Endpoint{URL: raw, Network: "tcp", Host: host, Port: uint16(n), Secure: u.Scheme == s.TLS}, nil
}

// form is what a URL of a scheme looks like.
func (s Schemes) form(scheme string) string {
	if scheme == s.Unix {
		return scheme + ":///path"
	}
	return scheme + "://host:port"
}
