package kcp

import (
	"fmt"
	"time"

	kcpgo "github.com/xtaci/kcp-go/v5"
)

// Config is what both ends agree on. Apart from Key the zero value is the documented
// one.
type Config struct {
	// Key of AES: 16, 24 or 32 bytes.
	Key []byte
	// SendWindow and ReceiveWindow in packets; 0 is 1024.
	SendWindow    int
	ReceiveWindow int
	// MTU in bytes of a UDP payload; 0 is 1350.
	MTU int
	// Idle ends a session at the server from which nothing came; 0 is 10 s.
	Idle time.Duration
}

const (
	defaultWindow = 1024
	defaultMTU    = 1350
	defaultIdle   = 10 * time.Second
	socketBuffer  = 4 << 20
)

// Validate refuses what Listen and Dial would.
func (c Config) Validate() error {
	switch len(c.Key) {
	case 16, 24, 32:
	default:
		return fmt.Errorf("kcp: Key has %d bytes; AES takes 16, 24 or 32", len(c.Key))
	}
	if c.SendWindow < 0 || c.ReceiveWindow < 0 {
		return fmt.Errorf("kcp: windows of %d and %d packets; use 0 for %d", c.SendWindow, c.ReceiveWindow, defaultWindow)
	}
	if c.MTU != 0 && (c.MTU < 576 || c.MTU > 1500) {
		return fmt.Errorf("kcp: MTU %d is not between 576 and 1500", c.MTU)
	}
	if c.Idle < 0 {
		return fmt.Errorf("kcp: Idle %v is negative; use 0 for %v", c.Idle, defaultIdle)
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.SendWindow == 0 {
		c.SendWindow = defaultWindow
	}
	if c.ReceiveWindow == 0 {
		c.ReceiveWindow = defaultWindow
	}
	if c.MTU == 0 {
		c.MTU = defaultMTU
	}
	if c.Idle == 0 {
		c.Idle = defaultIdle
	}
	return c
}

// tune leaves stream mode off, as a new session has it.
func (c Config) tune(s *kcpgo.UDPSession) {
	s.SetNoDelay(1, 10, 2, 1)
	s.SetWindowSize(c.SendWindow, c.ReceiveWindow)
	s.SetMtu(c.MTU)
}
