package tcp

import "strait/transport"

// Moved reports whether c lives on an event loop.
func Moved(c transport.Conn) bool { return c.(*Conn).moved.Load() != nil }

// Blocked reports whether c's socket is full and its loop waits until it is not.
func Blocked(c transport.Conn) bool { return c.(*Conn).writer.Load() == blocked }

// Broken reports whether writing to c has failed.
func Broken(c transport.Conn) bool { return c.(*Conn).broken.Load() }

// Held is the memory in bytes that c has of its own for what was received and not
// taken, for what is to be sent and not written. From c's loop, while it writes nothing.
func Held(c transport.Conn) (ciphertext, plaintext, out int) {
	m := c.(*Conn).moved.Load()
	if m.outBuf != nil {
		out = cap(*m.outBuf)
	}
	ciphertext = cap(m.c.sock.input)
	if rawInputAt >= 0 {
		ciphertext += rawInput(m.c.tls).Cap()
	}
	return ciphertext, cap(m.left), out
}

// Abandon ends every connection at once, as a Close whose time is over does.
func (l *Listener) Abandon() { l.conns.Each((*Conn).cut) }
