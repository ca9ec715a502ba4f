package configs

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"strait/transport/tlsconfig"
)

// The variables that rules about more than one of them name.
const (
	nameTCP          = Prefix + "TCP_ADDR"
	nameUDP          = Prefix + "UDP_ADDR"
	nameQUIC         = Prefix + "QUIC_ADDR"
	nameAdmin        = Prefix + "ADMIN_ADDR"
	nameSockets      = Prefix + "UDP_SOCKETS"
	nameStreamWindow = Prefix + "QUIC_STREAM_WINDOW_BYTES"
	nameConnWindow   = Prefix + "QUIC_CONN_WINDOW_BYTES"
	nameFleetKey     = Prefix + "FLEET_KEY_FILE"
	nameNode         = Prefix + "NODE_ID"
	nameCert         = Prefix + "TLS_CERT_FILE"
	nameKey          = Prefix + "TLS_KEY_FILE"
	nameClientCA     = Prefix + "TLS_CLIENT_CA_FILE"
	nameMinVersion   = Prefix + "TLS_MIN_VERSION"
	nameSuites       = Prefix + "TLS_CIPHER_SUITES"
	nameUpstream     = Prefix + "UPSTREAM"
	nameUpCA         = Prefix + "UPSTREAM_CA_FILE"
	nameUpCert       = Prefix + "UPSTREAM_CERT_FILE"
	nameUpKey        = Prefix + "UPSTREAM_KEY_FILE"
	nameQueueSize    = Prefix + "QUEUE_SIZE"
	nameShards       = Prefix + "SHARDS"
	nameSessions     = Prefix + "MAX_SESSIONS"
	nameHandshakes   = Prefix + "MAX_HANDSHAKES"
	nameMaxMessage   = Prefix + "MAX_MESSAGE_BYTES"
	nameSendBuffer   = Prefix + "SEND_BUFFER_BYTES"
	nameBufferBudget = Prefix + "BUFFER_BUDGET_BYTES"
)

// relations holds the values against each other. A rule looks only at variables that
// have no problem of their own, so that one mistake is told once.
func (l *loader) relations() {
	l.transports()
	l.lanes()
	l.distinct(nameTCP, l.config.Listen.TCP, nameAdmin, l.config.Listen.Admin)
	l.onePort()
	l.tls()
	l.upstream()
	l.sizes()
}

// transports refuses a gateway that nobody could reach. Sealed UDP alone does not
// count: it belongs to sessions on TCP.
func (l *loader) transports() {
	if l.ok(nameTCP, nameQUIC) && l.config.Listen.TCP.Off() && l.config.Listen.QUIC.Off() {
		l.add(nameTCP, &Problem{
			Reason: "no transport is on: " + nameTCP + " and " + nameQUIC + " are both off",
			Want:   "an address such as :7777 in one of them",
		})
	}
}

// lanes refuses sealed UDP that no session could have: it belongs to those on TCP.
// Unasked for, it is left out.
func (l *loader) lanes() {
	c := l.config
	if !l.ok(nameTCP, nameUDP) || !c.Listen.TCP.Off() || c.Listen.UDP.Off() {
		return
	}
	if c.Given(nameUDP) {
		l.add(nameUDP, &Problem{
			Reason: "sealed UDP is for sessions on TLS over TCP, and " + nameTCP + " is off",
			Want:   "off, or an address in " + nameTCP,
		})
		return
	}
	c.Listen.UDP = off
	c.note(nameUDP, "off, because "+nameTCP+" is")
}

// onePort lets the same address for sealed UDP and QUIC stand for one socket, which has
// one reader; two addresses are two sockets.
func (l *loader) onePort() {
	c := l.config
	if !l.ok(nameUDP, nameQUIC) {
		return
	}
	if !c.Listen.OnePort() {
		l.distinct(nameUDP, c.Listen.UDP, nameQUIC, c.Listen.QUIC)
		return
	}
	if l.ok(nameSockets) && c.UDP.Sockets > 1 {
		l.add(nameSockets, &Problem{
			Reason: fmt.Sprintf("%s and %s are the same address, and one socket serves both", nameUDP, nameQUIC),
			Want:   "1, or two addresses",
		})
	}
}

// distinct refuses two addresses that cannot both be listened on. Host names are
// compared as they are written: what they resolve to is known when listening.
func (l *loader) distinct(aName string, a Addr, bName string, b Addr) {
	if a.Off() || b.Off() || !l.ok(aName, bName) {
		return
	}
	aHost, aPort := a.split()
	bHost, bPort := b.split()
	if aPort == 0 || aPort != bPort {
		return
	}
	if aHost != "" && bHost != "" && !sameHost(aHost, bHost) {
		return
	}
	l.add(bName, &Problem{
		Reason: fmt.Sprintf("%s listens at port %d already (%s)", aName, aPort, a),
		Want:   "another port or another address",
	})
}

func sameHost(a, b string) bool {
	aIP, aErr := netip.ParseAddr(a)
	bIP, bErr := netip.ParseAddr(b)
	if aErr == nil && bErr == nil {
		return aIP == bIP || aIP.Is4() == bIP.Is4() && (aIP.IsUnspecified() || bIP.IsUnspecified())
	}
	return strings.EqualFold(a, b)
}

func (l *loader) tls() {
	t := &l.config.TLS
	l.together(nameCert, t.CertFile, nameKey, t.KeyFile)
	if l.ok(nameMinVersion, nameSuites) && t.MinVersion.String() != "1.2" && len(t.CipherSuites) > 0 {
		l.add(nameSuites, &Problem{
			Reason: "the suites of TLS 1.3 cannot be chosen",
			Want:   "no such variable, or " + nameMinVersion + "=1.2",
		})
	}
	if l.ok(nameCert, nameKey, nameClientCA, nameMinVersion, nameSuites) {
		l.files(t.Policy(nil).Validate(), nameSuites, map[string]string{nameCert: t.CertFile, nameKey: t.KeyFile, nameClientCA: t.ClientCAFile})
	}
}

func (l *loader) upstream() {
	u := &l.config.Upstream
	l.together(nameUpCert, u.CertFile, nameUpKey, u.KeyFile)
	if !l.ok(nameUpstream) {
		return
	}
	given := map[string]string{nameUpCA: u.CAFile, nameUpCert: u.CertFile, nameUpKey: u.KeyFile}
	if !u.Backends.TLS() {
		for name, value := range given {
			if value != "" {
				l.add(name, &Problem{
					Reason: "only link+tls and grpcs backends are proven by certificates, and " + nameUpstream + " has none",
					Want:   "no such variable, or a link+tls:// or grpcs:// backend in " + nameUpstream,
				})
			}
		}
		return
	}
	if l.ok(nameUpCA, nameUpCert, nameUpKey) {
		_, err := tlsconfig.Upstream(u.CAFile, u.CertFile, u.KeyFile)
		l.files(err, nameUpCA, given)
	}
}

// together refuses one of certificate and key without the other.
func (l *loader) together(certName, cert, keyName, key string) {
	switch {
	case !l.ok(certName, keyName):
	case cert != "" && key == "":
		l.add(keyName, &Problem{Reason: certName + " is set and its key is missing", Want: l.table[keyName].rule.accepts})
	case cert == "" && key != "":
		l.add(certName, &Problem{Reason: keyName + " is set and its certificate is missing", Want: l.table[certName].rule.accepts})
	}
}

// files blames the variable that names the file with which err has to do, or else
// the one called other.
func (l *loader) files(err error, other string, paths map[string]string) {
	if err == nil {
		return
	}
	var fileErr *tlsconfig.FileError
	if errors.As(err, &fileErr) {
		for _, name := range slices.Sorted(maps.Keys(paths)) {
			if paths[name] == fileErr.Path && fileErr.Key == isKey(name) {
				l.add(name, &Problem{Reason: fileErr.Err.Error(), Err: err})
				return
			}
		}
	}
	l.add(other, &Problem{Reason: err.Error(), Err: err})
}

// isKey reports whether a variable names a private key's file.
func isKey(name string) bool { return name == nameKey || name == nameUpKey }

func (l *loader) sizes() {
	g := &l.config.Gateway
	if l.ok(nameMaxMessage, nameSendBuffer) && g.SendBuffer < g.MaxMessage {
		name, want := nameSendBuffer, fmt.Sprintf("at least %d", g.MaxMessage)
		if !l.config.Given(nameSendBuffer) {
			name, want = nameMaxMessage, fmt.Sprintf("at most %d, or a larger %s", g.SendBuffer, nameSendBuffer)
		}
		l.add(name, &Problem{
			Reason: fmt.Sprintf("a message of %s (%d) would not fit into %s (%d)", nameMaxMessage, g.MaxMessage, nameSendBuffer, g.SendBuffer),
			Want:   want,
		})
	}
	if q := &l.config.QUIC; l.ok(nameStreamWindow, nameConnWindow) && q.ConnWindow < q.StreamWindow {
		l.add(nameConnWindow, &Problem{
			Reason: fmt.Sprintf("less than one stream may send (%s, %d)", nameStreamWindow, q.StreamWindow),
			Want:   fmt.Sprintf("at least %d", q.StreamWindow),
		})
	}
	if l.ok(nameSendBuffer, nameBufferBudget) && g.BufferBudget != 0 && g.BufferBudget < g.SendBuffer {
		l.add(nameBufferBudget, &Problem{
			Reason: fmt.Sprintf("less than one session may have waiting (%s, %d)", nameSendBuffer, g.SendBuffer),
			Want:   fmt.Sprintf("0 or at least %d", g.SendBuffer),
		})
	}
}
