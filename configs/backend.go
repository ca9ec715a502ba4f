package configs

import (
	"errors"
	"fmt"
	"net"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const echo = "echo"

// The schemes of a backend's URL.
const (
	schemeLink     = "link"
	schemeLinkTLS  = "link+tls"
	schemeLinkUnix = "link+unix"
	schemeGRPC     = "grpc"
	schemeGRPCTLS  = "grpcs"
	schemeGRPCUnix = "grpc+unix"
)

var schemes = []string{schemeLink, schemeLinkTLS, schemeLinkUnix, schemeGRPC, schemeGRPCTLS, schemeGRPCUnix}

// maxUnixPath is the longest path of a Unix socket that every supported system
// takes (sockaddr_un.sun_path, less its terminating zero; the BSDs have 104).
const maxUnixPath = 103

// userinfo finds a password in a list before the list is cut at its commas, one of
// which may be in the password.
var userinfo = regexp.MustCompile(`://[^/\s][^/\s]*@`)

var errUserinfo = errors.New("a user name or password does not belong in a backend's URL; backends are proven by certificates")

// Backend is one game logic process.
type Backend struct {
	Scheme  string // of its URL
	Network string // "tcp" or "unix"
	Address string // host:port, or the socket's absolute path
	TLS     bool
}

// Host returns the name or IP address without the port; empty for a Unix socket.
func (b Backend) Host() string {
	if b.Network == "unix" {
		return ""
	}
	host, _, _ := net.SplitHostPort(b.Address)
	return host
}

// String returns the backend as it is written in the configuration.
func (b Backend) String() string {
	return b.Scheme + "://" + b.Address
}

// Backends are the places where game logic runs; none of them means the built-in
// echo.
type Backends []Backend

// Echo reports whether the built-in echo is game logic.
func (bs Backends) Echo() bool { return len(bs) == 0 }

// TLS reports whether one of the backends is reached over TLS.
func (bs Backends) TLS() bool {
	return slices.ContainsFunc(bs, func(b Backend) bool { return b.TLS })
}

// String returns the list as it is written in the configuration.
func (bs Backends) String() string {
	if bs.Echo() {
		return echo
	}
	out := make([]string, len(bs))
	for i, b := range bs {
		out[i] = b.String()
	}
	return strings.Join(out, ",")
}

// UnmarshalText takes echo, or a comma-separated list of backend URLs. The error
// names everything that is wrong with the list.
func (bs *Backends) UnmarshalText(text []byte) error {
	s := string(text)
	if s == echo {
		*bs = nil
		return nil
	}
	if userinfo.MatchString(s) {
		return errUserinfo
	}
	var list Backends
	var wrong []error
	for item := range strings.SplitSeq(s, ",") {
		item = strings.TrimSpace(item)
		switch item {
		case "":
			wrong = append(wrong, errors.New("an item of the list is empty"))
			continue
		case echo:
			wrong = append(wrong, errors.New("echo stands alone and does not mix with backends"))
			continue
		}
		b, err := parseBackend(item)
		switch {
		case err != nil:
			wrong = append(wrong, fmt.Errorf("%s: %w", shown(item), err))
		case slices.Contains(list, b):
			wrong = append(wrong, fmt.Errorf("%s is listed twice", b))
		default:
			list = append(list, b)
		}
	}
	if len(wrong) > 0 {
		return oneLine(wrong)
	}
	*bs = list
	return nil
}

func parseBackend(s string) (Backend, error) {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		return Backend{}, fmt.Errorf("the scheme is missing, as in %s://%s", schemeLink, "host:port")
	}
	switch lower := strings.ToLower(scheme); lower {
	case schemeLink, schemeLinkTLS, schemeGRPC, schemeGRPCTLS:
		return parseHostBackend(lower, rest)
	case schemeLinkUnix, schemeGRPCUnix:
		return parseUnixBackend(lower, rest)
	}
	return Backend{}, fmt.Errorf("the scheme %q does not exist; there are %s", scheme, strings.Join(schemes, ", "))
}

func parseHostBackend(scheme, rest string) (Backend, error) {
	if strings.Contains(rest, "@") {
		return Backend{}, errUserinfo
	}
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		return Backend{}, fmt.Errorf("nothing may follow the port, but %q does", rest[i:])
	}
	host, port, err := splitHostPort(rest)
	switch {
	case err != nil:
		return Backend{}, err
	case host == "":
		return Backend{}, errors.New("the host is missing")
	case port == 0:
		return Backend{}, errors.New("port 0 cannot be dialled")
	}
	return Backend{
		Scheme:  scheme,
		Network: "tcp",
		Address: net.JoinHostPort(strings.ToLower(host), strconv.Itoa(port)),
		TLS:     scheme == schemeLinkTLS || scheme == schemeGRPCTLS,
	}, nil
}

func parseUnixBackend(scheme, rest string) (Backend, error) {
	switch {
	case !strings.HasPrefix(rest, "/"):
		return Backend{}, fmt.Errorf("the path must be absolute, with three slashes: %s:///run/logic.sock", scheme)
	case strings.HasSuffix(rest, "/"):
		return Backend{}, errors.New("the path names a folder, not a socket")
	case path.Clean(rest) != rest:
		return Backend{}, fmt.Errorf("the path has a shorter form, %s", path.Clean(rest))
	case len(rest) > maxUnixPath:
		return Backend{}, fmt.Errorf("the path has %d bytes; a Unix socket's has at most %d", len(rest), maxUnixPath)
	}
	return Backend{Scheme: scheme, Network: "unix", Address: rest}, nil
}

// oneLine joins errors into one on a single line.
func oneLine(errs []error) error {
	out := make([]string, len(errs))
	for i, err := range errs {
		out[i] = err.Error()
	}
	return errors.New(strings.Join(out, "; "))
}
