// Package hostport takes addresses of the form host:port apart as operators write them,
// and says what is wrong with those that are not: for the addresses to listen on
// (configs) and those of game logic (upstream/endpoint). It resolves no names.
package hostport

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Split returns the host (which may be empty) and the port's number, or an
// error that says what is wrong with s.
func Split(s string) (host string, port int, err error) {
	host, service, err := net.SplitHostPort(s)
	if err != nil {
		return "", 0, explainSplit(s)
	}
	if err := checkHost(host); err != nil {
		return "", 0, err
	}
	switch {
	case strings.Contains(s[:len(s)-len(service)], "[") && !strings.Contains(host, ":"):
		return "", 0, fmt.Errorf("brackets are for IPv6 addresses, and %q is none", host)
	case service == "":
		return "", 0, errors.New("the port is missing after the colon")
	}
	port, err = checkPort(service)
	return host, port, err
}

func explainSplit(s string) error {
	if _, err := strconv.ParseUint(s, 10, 16); err == nil {
		return fmt.Errorf("a port alone needs a colon before it: %q", ":"+s)
	}
	if strings.Contains(s, "://") {
		return errors.New("a scheme does not belong here")
	}
	if strings.Count(s, ":") > 1 && !strings.HasSuffix(s, "]") {
		return errors.New("an IPv6 address goes in brackets and a port after them, as in [::1]:7777")
	}
	if !strings.Contains(s, ":") || strings.HasSuffix(s, "]") {
		return errors.New("the port is missing")
	}
	return errors.New("not of the form host:port")
}

// checkHost takes an empty host, an IP address and a host name (RFC 1123, and
// underscores, which container networks use).
func checkHost(host string) error {
	if host == "" {
		return nil
	}
	if strings.Contains(host, ":") {
		if _, err := netip.ParseAddr(host); err != nil {
			return fmt.Errorf("%q is not an IPv6 address", host)
		}
		return nil
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	if strings.Trim(host, "0123456789.") == "" {
		return fmt.Errorf("%q is not an IPv4 address", host)
	}
	name := strings.TrimSuffix(host, ".")
	if len(name) > 253 {
		return errors.New("the host name is longer than 253 characters")
	}
	for label := range strings.SplitSeq(name, ".") {
		if !hostLabel(label) {
			return fmt.Errorf("%q is neither an IP address nor a host name", host)
		}
	}
	return nil
}

func hostLabel(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

func checkPort(service string) (int, error) {
	if n, err := strconv.ParseUint(service, 10, 64); err == nil {
		if n > 65535 {
			return 0, fmt.Errorf("port %s is above 65535", service)
		}
		return int(n), nil
	}
	n, err := net.LookupPort("ip", service)
	if err != nil {
		return 0, fmt.Errorf("port %q is neither a number from 0 to 65535 nor the name of a service that this machine knows", service)
	}
	return n, nil
}
