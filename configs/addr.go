package configs

import "strait/internal/hostport"

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
	if _, _, err := hostport.Split(s); err != nil {
		return err
	}
	*a = Addr(s)
	return nil
}

// split returns the host and the port's number of an address that was parsed.
func (a Addr) split() (host string, port int) {
	host, port, _ = hostport.Split(string(a))
	return host, port
}
