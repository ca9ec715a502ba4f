//go:build linux

package stack

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"strait/bench/edge/echo"
)

// Kind is a proxy.
type Kind string

// The kinds.
const (
	Strait  Kind = "strait"
	Nginx   Kind = "nginx"
	HAProxy Kind = "haproxy"
	// Bare is no proxy but the echo itself: what the loopback alone costs.
	Bare Kind = "bare"
)

// Protocol is what clients speak to a proxy.
type Protocol string

// The protocols.
const (
	TLS Protocol = "tls"
	// UDP is plain datagrams, and to the gateway sealed ones beside a TLS session.
	UDP Protocol = "udp"
	// QUIC is messages as QUIC datagrams, QUICStreams on one stream.
	QUIC        Protocol = "quic"
	QUICStreams Protocol = "quic-streams"
)

// Protocols lists them.
var Protocols = []Protocol{TLS, UDP, QUIC, QUICStreams}

// Title names what players of the gateway speak, for people.
func (p Protocol) Title() string {
	switch p {
	case UDP:
		return "sealed UDP"
	case QUIC:
		return "QUIC datagrams"
	case QUICStreams:
		return "QUIC stream"
	}
	return "TLS over TCP"
}

// OverQUIC reports whether clients connect by QUIC.
func (p Protocol) OverQUIC() bool { return p == QUIC || p == QUICStreams }

// Retry says whether a client has to prove its address before a server of datagrams
// works for it.
type Retry string

// The values. Empty is the gateway's default, which asks under load; the bare echo then
// never does.
const (
	RetryOff    Retry = "off"
	RetryAlways Retry = "always"
)

// Kinds are the targets that speak the protocol.
func (p Protocol) Kinds() []Kind {
	switch p {
	case UDP:
		return []Kind{Nginx, Strait, Bare}
	case QUIC, QUICStreams:
		return []Kind{Bare, Strait} // no proxy here passes datagrams on
	}
	return []Kind{Nginx, Strait, HAProxy}
}

// Target is one proxy under comparison, by one protocol.
type Target struct {
	Name     string // in the report
	Kind     Kind
	Protocol Protocol // TLS if empty
	Binary   string   // the program's path
	Env      []string // NAME=value, added to the environment; Strait only
}

// Hello reports whether clients speak frames to it rather than through it.
func (t Target) Hello() bool { return t.Kind == Strait }

// Sessions reports whether clients open sessions, by handshakes.
func (t Target) Sessions() bool { return t.Kind == Strait || t.Protocol != UDP }

func (t Target) echo(r Retry) echo.Kind {
	switch {
	case t.Kind == Strait:
		return echo.Link
	case t.Protocol == UDP:
		return echo.Datagram
	case t.Protocol.OverQUIC() && r == RetryAlways:
		return echo.QUICRetry
	case t.Protocol.OverQUIC():
		return echo.QUIC
	}
	return echo.Stream
}

// places are where programs and nginx's modules are looked for.
type places struct {
	programs []string // folders besides those of PATH: not every user's has root's
	modules  []string
}

var debian = places{
	programs: []string{"/usr/sbin", "/usr/local/sbin"},
	modules:  []string{"/usr/lib/nginx/modules", "/usr/lib64/nginx/modules", "/usr/share/nginx/modules"},
}

func (p places) look(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil {
		return path, nil
	}
	for _, dir := range p.programs {
		if path, e := exec.LookPath(filepath.Join(dir, name)); e == nil {
			return path, nil
		}
	}
	return "", err
}

// MissingError says which Debian packages a comparison needs.
type MissingError struct{ Packages []string }

func (e *MissingError) Error() string {
	return fmt.Sprintf("not installed: %s; run apt-get install %s, or leave the target out with -targets",
		strings.Join(e.Packages, ", "), strings.Join(e.Packages, " "))
}

// Find returns the targets nginx and haproxy as far as kinds has them, in its order,
// with their programs. What is not installed is a *MissingError.
func Find(kinds []Kind) ([]Target, error) { return debian.find(kinds) }

func (p places) find(kinds []Kind) ([]Target, error) {
	var out []Target
	var missing []string
	for _, k := range kinds {
		path, err := p.look(string(k))
		if err != nil {
			missing = append(missing, string(k))
		}
		if k == Nginx {
			if _, ok := p.streamModule(path); !ok {
				missing = append(missing, "libnginx-mod-stream")
			}
		}
		out = append(out, Target{Name: string(k), Kind: k, Binary: path})
	}
	if len(missing) > 0 {
		return nil, &MissingError{Packages: missing}
	}
	return out, nil
}

// streamModule returns the file of nginx's stream module; none if it is built in.
func (p places) streamModule(binary string) (file string, ok bool) {
	for _, dir := range p.modules {
		file := filepath.Join(dir, "ngx_stream_module.so")
		if _, err := os.Stat(file); err == nil {
			return file, true
		}
	}
	if binary == "" {
		return "", false
	}
	out, err := exec.Command(binary, "-V").CombinedOutput()
	return "", err == nil && slices.Contains(strings.Fields(string(out)), "--with-stream")
}

// Version is the first line of what the program says of itself.
func (t Target) Version() string {
	arg := "-v"
	switch t.Kind {
	case Bare:
		return runtime.Version()
	case Strait:
		arg = "version"
	}
	out, err := exec.Command(t.Binary, arg).CombinedOutput()
	if err != nil {
		return fmt.Sprintf("unknown (%v)", err)
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return strings.TrimPrefix(line, "nginx version: ")
}
