package udp

import (
	"net"
	"net/netip"
	"time"
)

// portable moves one datagram with each call of package net.
type portable struct {
	conn  *net.UDPConn
	count *portCounters
	wild  bool // bound to every address: datagrams say which one they came to
	v6    bool // the socket is of IPv6, whatever its datagrams

	// As long as a datagram can be: a shorter buffer is an error on some systems.
	buf     [1 << 16]byte
	control []byte            // of read, room for them
	source  [controlSize]byte // of write

	// of the last read
	from netip.AddrPort
	told int // of control
}

func newPortable(o opened, count *portCounters) *portable {
	p := &portable{conn: o.conn, count: count, wild: o.wild, v6: o.v6}
	switch {
	case o.share:
		p.control = make([]byte, sharedControl)
	case o.wild:
		p.control = make([]byte, controlSize)
	}
	return p
}

func (p *portable) read(in []datagram) (n int, err error) {
	for {
		n, oobn, _, from, err := p.conn.ReadMsgUDPAddrPort(p.buf[:], p.control)
		p.count.reads.add(1)
		if err != nil {
			if transient(err) {
				continue
			}
			return 0, err
		}
		p.from, p.told = from, oobn
		in[0] = datagram{b: p.buf[:n], remote: unmap(from)}
		if p.wild {
			in[0].local = parseLocal(p.control[:oobn])
		}
		return 1, nil
	}
}

func (p *portable) other(int) (from *net.UDPAddr, control []byte) {
	return net.UDPAddrFromAddrPort(p.from), p.control[:p.told]
}

func (p *portable) write(out []datagram, _ bool) (n int) {
	for i := range out {
		d := &out[i]
		var err error
		if from := putLocal(p.source[:], d.local, p.v6); from == nil {
			_, err = p.conn.WriteToUDPAddrPort(d.b, d.remote)
		} else {
			_, _, err = p.conn.WriteMsgUDPAddrPort(d.b, from, d.remote)
		}
		p.count.writes.add(1)
		if err != nil {
			if closed(err) {
				return i
			}
			p.count.refused.add(1)
		}
	}
	return len(out)
}

func (p *portable) waits() bool  { return true }
func (p *portable) close() error { return p.conn.Close() }

func (p *portable) deafen()            { _ = p.conn.SetReadDeadline(time.Unix(1, 0)) }
func (p *portable) hurry(by time.Time) { _ = p.conn.SetWriteDeadline(by) }
