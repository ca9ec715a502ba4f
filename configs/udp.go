package configs

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"strait/internal/hostport"
)

// UDP is the sealed UDP lanes of sessions on TLS/TCP. Sizes are in bytes.
type UDP struct {
	Advertise     Advertise     `env:"UDP_ADVERTISE"`
	Sockets       int64         `env:"UDP_SOCKETS" envDefault:"1"`
	TokenLifetime time.Duration `env:"UDP_TOKEN_LIFETIME" envDefault:"30s"`
	AEADs         AEADs         `env:"UDP_AEADS" envDefault:"aes128gcm,chacha20poly1305"`
	Retry         string        `env:"UDP_RETRY" envDefault:"auto"` // one of the Retry constants
	ReadBuffer    int64         `env:"UDP_READ_BUFFER_BYTES" envDefault:"4194304"`
	WriteBuffer   int64         `env:"UDP_WRITE_BUFFER_BYTES" envDefault:"1048576"`
	Batch         Switch        `env:"UDP_BATCH" envDefault:"on"`
}

// When an address has to prove itself before anything is kept for it.
const (
	RetryAuto   = "auto" // under load
	RetryAlways = "always"
	RetryOff    = off
)

// Advertise is the address that clients are told; empty: the port of the socket, at
// the host that the client dialled.
type Advertise string

// UnmarshalText takes host:port, [ipv6]:port and :port.
func (a *Advertise) UnmarshalText(text []byte) error {
	_, port, err := hostport.Split(string(text))
	if err != nil {
		return err
	}
	if port == 0 {
		return errors.New("port 0 cannot be reached")
	}
	*a = Advertise(text)
	return nil
}

// AEADs are ciphers of sealed UDP by their numbers in WIRE.md.
type AEADs []uint8

// aeadNames are the ciphers by number; 0 is none.
var aeadNames = []string{1: "aes128gcm", 2: "chacha20poly1305"}

// String returns the names, separated by commas.
func (as AEADs) String() string {
	out := make([]string, len(as))
	for i, a := range as {
		out[i] = aeadNames[a]
	}
	return strings.Join(out, ",")
}

// UnmarshalText takes names, separated by commas.
func (as *AEADs) UnmarshalText(text []byte) error {
	var list AEADs
	for name := range strings.SplitSeq(string(text), ",") {
		name = strings.TrimSpace(name)
		n := slices.Index(aeadNames, name)
		switch {
		case name == "":
			return errors.New("an item of the list is empty")
		case n < 0:
			return fmt.Errorf("there is no %q", name)
		case slices.Contains(list, uint8(n)):
			return fmt.Errorf("%s is listed twice", name)
		}
		list = append(list, uint8(n))
	}
	*as = list
	return nil
}
