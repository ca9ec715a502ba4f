package lab

import (
	"net/netip"
	"slices"
	"time"

	"strait/compare/link"
)

// addrsOf returns the n-th addresses of a side: from the blocks for benchmarks (RFC
// 2544 appendix C, RFC 5180 section 8), which nothing else uses.
func addrsOf(side Side, n int, ipv6 bool) Addrs {
	host := byte(1 + n)
	a := Addrs{V4: netip.AddrFrom4([4]byte{198, 18, byte(side), host})}
	if ipv6 {
		a.V6 = netip.AddrFrom16([16]byte{0x20, 0x01, 0, 2, 7: byte(side), 15: host})
	}
	return a
}

// ChangeAddress gives the client new addresses now and takes the old ones away.
// Programs that have bound the old ones cannot send from them any more, and nothing
// for them is delivered.
func (l *Lab) ChangeAddress() error {
	if l.wire == nil {
		return errNoLink
	}
	return l.move(0, -1)
}

// move changes the client's address, unless it belongs to an earlier period; 0 is any.
func (l *Lab) move(period int, due time.Duration) error {
	l.moving.Lock()
	defer l.moving.Unlock()
	if !l.enter() {
		return errClosed
	}
	defer l.using.Done()
	l.mu.Lock()
	if period != 0 && period != l.period {
		l.mu.Unlock()
		return nil
	}
	l.moves++
	h := Handover{Old: l.addrs[Client], New: addrsOf(Client, l.moves%(link.MaxAddressChanges+1), l.namespaces[Client].ipv6)}
	l.mu.Unlock()

	n := l.namespaces[Client]
	h.Err = n.do(func() error {
		// The old ones go last: with its last address a device loses its routes.
		if err := n.address(h.New); err != nil {
			return err
		}
		return n.unaddress(h.Old)
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	h.At = l.wire.now() - l.wire.run.Load().start
	if due >= 0 {
		h.Late = h.At - due
	}
	if h.Err == nil {
		l.addrs[Client] = h.New
	}
	l.handovers = append(l.handovers, h)
	return h.Err
}

// Handovers returns the changes of the client's address since Impair.
func (l *Lab) Handovers() []Handover {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.handovers)
}
