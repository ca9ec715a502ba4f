package configs

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Addr is an address to listen on in the form that [net.Listen] takes, or off.
// The zero Addr is off, too.
type Addr string

const off = "off"

// Off reports whether nothing is to listen.
func (a Addr) Off() bool { return a == "" || a == off }

// String returns host:port, or off.
func (a Addr) String() string {
	if a.Off() {
		return off
	}
	return string(a)
}

// UnmarshalText takes host:port with a name, an IPv4 address, an IPv6 address in
// brackets or no host at all, and a port by number or by name; or off.
func (a *Addr) UnmarshalText(text []byte) error {
	s := string(text)
	if s == off {
		*a = off
		return nil
	}
	if _, _, err := splitHostPort(s); err != nil {
		return err
	}
	*a = Addr(s)
	return nil
}

// split returns the host and the port's number of an address that was parsed.
func (a Addr) split() (host string, port int) {
	host, port, _ = splitHostPort(string(a))
	return host, port
}

// splitHostPort returns the host (which may be empty) and the port's number, or an
// error that says what is wrong with s.
func splitHostPort(s string) (host string, port int, err error) {
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
