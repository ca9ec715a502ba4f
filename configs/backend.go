package configs

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"strait/upstream/endpoint"
)

const echo = "echo"

// userinfo finds a password in a list before the list is cut at its commas, one of
// which may be in the password.
var userinfo = regexp.MustCompile(`://[^/\s][^/\s]*@`)

// Backends are the places where game logic runs; none of them means the built-in
// echo.
type Backends []endpoint.Endpoint

// Echo reports whether the built-in echo is game logic.
func (bs Backends) Echo() bool { return len(bs) == 0 }

// TLS reports whether one of the backends is reached over TLS.
func (bs Backends) TLS() bool {
	return slices.ContainsFunc(bs, func(b endpoint.Endpoint) bool { return b.Secure })
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
		return endpoint.ErrUserinfo
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
		b, err := endpoint.Parse(item, endpoint.Link, endpoint.GRPC)
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

// oneLine joins errors into one on a single line.
func oneLine(errs []error) error {
	out := make([]string, len(errs))
	for i, err := range errs {
		out[i] = err.Error()
	}
	return errors.New(strings.Join(out, "; "))
}
