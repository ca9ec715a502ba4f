package quic

import (
	"net"
	"os"
	"sync"
	"syscall"
)

// quic-go's only switches for what follows are variables of the environment, which it
// looks at when a socket is given to it, and then never again. So they are set for that
// moment.
const (
	switchNoGSO     = "QUIC_GO_DISABLE_GSO"
	switchNoWarning = "QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING" // it prints to stderr; setBuffers logs
)

var switches sync.Mutex

// withSwitches runs f with quic-go's switches set.
func withSwitches(noGSO bool, f func()) {
	switches.Lock()
	defer switches.Unlock()
	set := func(name string) (restore func()) {
		old, had := os.LookupEnv(name)
		_ = os.Setenv(name, "true")
		return func() {
			if had {
				_ = os.Setenv(name, old)
			} else {
				_ = os.Unsetenv(name)
			}
		}
	}
	defer set(switchNoWarning)()
	if noGSO {
		defer set(switchNoGSO)()
	}
	f()
}

// wantBuffer is what quic-go asks for, in bytes.
const wantBuffer = 7 << 20

// setBuffers sets the socket's buffers, after quic-go has set what it would like, and
// logs what the system grants.
func (l *Listener) setBuffers() {
	c := l.config
	// What quic-go got by force is not asked for again: that could only make it less.
	read, write := granted(l.socket)
	if s, ok := l.socket.(interface{ SetReadBuffer(int) error }); ok && c.ReadBuffer > 0 && c.ReadBuffer != read {
		if err := s.SetReadBuffer(c.ReadBuffer); err != nil {
			c.Logger.Warn("cannot set the receive buffer of the QUIC socket", "bytes", c.ReadBuffer, "err", err)
		}
	}
	if s, ok := l.socket.(interface{ SetWriteBuffer(int) error }); ok && c.WriteBuffer > 0 && c.WriteBuffer != write {
		if err := s.SetWriteBuffer(c.WriteBuffer); err != nil {
			c.Logger.Warn("cannot set the send buffer of the QUIC socket", "bytes", c.WriteBuffer, "err", err)
		}
	}
	read, write = granted(l.socket)
	if read == 0 {
		return
	}
	wantRead, wantWrite := or(c.ReadBuffer, wantBuffer), or(c.WriteBuffer, wantBuffer)
	log := c.Logger.Info
	if read < wantRead || write < wantWrite {
		log = c.Logger.Warn
	}
	log("buffers of the QUIC socket; if less than wanted, raise net.core.rmem_max and wmem_max",
		"read_bytes", read, "read_wanted", wantRead, "write_bytes", write, "write_wanted", wantWrite)
}

// granted is what the system gave the socket, in bytes; 0 is not known.
func granted(c net.PacketConn) (read, write int) {
	s, ok := c.(syscall.Conn)
	if !ok {
		return 0, 0
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return 0, 0
	}
	return bufferSizes(raw)
}
