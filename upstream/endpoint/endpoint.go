// Package endpoint is the URLs that say where game logic runs. It owns their grammar and
// the schemes of all carriers, for the configuration, which refuses a wrong one, and for
// the carriers, which dial. It dials nothing and resolves no names.
package endpoint

import (
	"errors"
	"fmt"
	"net"
	"path"
	"slices"
	"strconv"
	"strings"

	"strait/internal/hostport"
)

// Schemes are those of one carrier: plain://host:port, tls://host:port and
// unix:///path. Empty: it has none such.
type Schemes struct{ Plain, TLS, Unix string }

// The carriers' schemes.
var (
	Link = Schemes{Plain: "link", TLS: "link+tls", Unix: "link+unix"}
	GRPC = Schemes{Plain: "grpc", TLS: "grpcs", Unix: "grpc+unix"}
)

// List returns the schemes that there are.
func (s Schemes) List() []string {
	return slices.DeleteFunc([]string{s.Plain, s.TLS, s.Unix}, func(name string) bool { return name == "" })
}

// maxUnixPath is the longest path of a Unix socket that every supported system
// takes (sockaddr_un.sun_path, less its terminating zero; the BSDs have 104).
const maxUnixPath = 103

// ErrUserinfo refuses a URL that may hold a password.
var ErrUserinfo = errors.New("a user name or password does not belong in a backend's URL; backends are proven by certificates")

// Endpoint is one backend. Two that are the same place by the same way are equal.
type Endpoint struct {
	Scheme  string // of its URL
	Network string // "tcp" or "unix"
	Host    string // name, in lower case, or literal address; empty for unix
	Port    uint16 // 0 for unix
	Path    string // of the socket, absolute; empty for tcp
	Secure  bool   // over TLS
}

// String returns the URL in its one form: what Parse takes and what names the backend.
func (e Endpoint) String() string {
	if e.Network == "unix" {
		return e.Scheme + "://" + e.Path
	}
	return e.Scheme + "://" + net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port)))
}

// Parse takes a URL apart that has a scheme of one of the carriers, at least one. The
// error says what is wrong, without the URL, which may hold what is secret: see Masked.
func Parse(raw string, of ...Schemes) (Endpoint, error) {
	given, rest, ok := strings.Cut(raw, "://")
	if !ok {
		return Endpoint{}, fmt.Errorf("the scheme is missing, as in %s://host:port", of[0].Plain)
	}
	scheme := strings.ToLower(given)
	var all []string
	for _, s := range of {
		list := s.List()
		switch {
		case !slices.Contains(list, scheme):
			all = append(all, list...)
		case scheme == s.Unix:
			return parseUnix(scheme, rest)
		default:
			return parseHost(scheme, rest, scheme == s.TLS)
		}
	}
	return Endpoint{}, fmt.Errorf("the scheme %q does not exist; there are %s", given, strings.Join(all, ", "))
}

func parseHost(scheme, rest string, secure bool) (Endpoint, error) {
	if strings.Contains(rest, "@") {
		return Endpoint{}, ErrUserinfo
	}
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		return Endpoint{}, fmt.Errorf("nothing may follow the port, but %q does", rest[i:])
	}
	host, port, err := hostport.Split(rest)
	switch {
	case err != nil:
		return Endpoint{}, err
	case host == "":
		return Endpoint{}, errors.New("the host is missing")
	case port == 0:
		return Endpoint{}, errors.New("port 0 cannot be dialled")
	}
	return Endpoint{Scheme: scheme, Network: "tcp", Host: strings.ToLower(host), Port: uint16(port), Secure: secure}, nil
}

func parseUnix(scheme, rest string) (Endpoint, error) {
	switch {
	case !strings.HasPrefix(rest, "/"):
		return Endpoint{}, fmt.Errorf("the path must be absolute, with three slashes: %s:///run/logic.sock", scheme)
	case strings.HasSuffix(rest, "/"):
		return Endpoint{}, errors.New("the path names a folder, not a socket")
	case path.Clean(rest) != rest:
		return Endpoint{}, fmt.Errorf("the path has a shorter form, %s", path.Clean(rest))
	case len(rest) > maxUnixPath:
		return Endpoint{}, fmt.Errorf("the path has %d bytes; a Unix socket's has at most %d", len(rest), maxUnixPath)
	}
	return Endpoint{Scheme: scheme, Network: "unix", Path: rest}, nil
}

// Masked returns a URL, or what was to be one, without what may be a password before an
// @.
func Masked(raw string) string {
	at := strings.LastIndexByte(raw, '@')
	if at < 0 {
		return raw
	}
	from := 0
	if i := strings.Index(raw, "://"); i >= 0 && i < at {
		from = i + len("://")
	}
	return raw[:from] + "***" + raw[at:]
}
