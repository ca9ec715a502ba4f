//go:build linux

package load

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	"strait/bench/edge/epoll"
	"strait/proto/straitv1"
	"strait/udp/sealed"
)

// tending is how often sealed lanes are looked after, and clients whose datagrams
// were lost.
const tending = 100 * time.Millisecond

// portions is in how many turns that is done: thousands of lanes at once would hold up
// the messages that are due meanwhile.
const portions = 64

// stalled is after how long without an echo a datagram is taken for lost. It is beyond
// what thousands of clients wait for each other at a saturated server: taking late ones
// for lost would send ever more for which nobody waits.
const stalled = time.Second

// datagrams is a client's UDP socket, and the sealed lane on it if the server
// speaks of one.
type datagrams struct {
	fd      int
	lane    *sealed.Client // nil: payloads go as they are
	packet  sealed.Packet
	buf     []byte
	touched int64 // when something was sent or came back last
}

// udpAddr is a numeric host:port.
func udpAddr(addr string) (*net.UDPAddr, error) {
	at, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, err
	}
	return net.UDPAddrFromAddrPort(at), nil
}

// connectUDP returns a descriptor that does not block, connected to addr.
func connectUDP(addr string) (fd int, err error) {
	at, err := netip.ParseAddrPort(addr)
	if err != nil {
		return -1, err
	}
	if !at.Addr().Is4() {
		return -1, fmt.Errorf("%s is not an IPv4 address", addr)
	}
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: at.Addr().As4(), Port: int(at.Port())}); err != nil {
		return -1, errors.Join(fmt.Errorf("connect: %w", err), unix.Close(fd))
	}
	return fd, nil
}

// plain opens a client whose payloads go as they are, and waits for one to come
// back.
func (d *dialer) plain(ctx context.Context) (*client, error) {
	fd, err := connectUDP(d.server.Addr)
	if err != nil {
		return nil, err
	}
	c := &client{link: &link{fd: -1}, opened: true, dg: &datagrams{fd: fd, buf: make([]byte, sealed.MaxPacket)}}
	for try := 0; try < 5; try++ {
		if _, err := c.dg.send(c, MinSize, 0); err != nil {
			return nil, errors.Join(err, c.close())
		}
		if n, err := c.dg.await(ctx, 200*time.Millisecond); err != nil {
			return nil, errors.Join(err, c.close())
		} else if n > 0 {
			c.received = c.sent
			c.waiting = fifo{}
			return c, nil
		}
	}
	return nil, errors.Join(fmt.Errorf("no datagram came back from %s", d.server.Addr), c.close())
}

// await reads one datagram into buf; 0 when none came in time.
func (g *datagrams) await(ctx context.Context, d time.Duration) (n int, err error) {
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	fds := []unix.PollFd{{Fd: int32(g.fd), Events: unix.POLLIN}}
	if _, err := unix.Poll(fds, int(d/time.Millisecond)); err != nil && !errors.Is(err, unix.EINTR) {
		return 0, fmt.Errorf("poll: %w", err)
	}
	n, err = epoll.Read(g.fd, g.buf[:cap(g.buf)])
	if errors.Is(err, unix.EAGAIN) {
		return 0, nil
	}
	return n, err
}

// bind binds the lane that SERVER_HELLO, which is borrowed, offers.
func (c *client) bind(ctx context.Context, hello []byte, addr string) error {
	var m straitv1.ServerHello
	if err := proto.Unmarshal(hello, &m); err != nil {
		return err
	}
	offer := m.GetUdp()
	if offer == nil {
		return errors.New("the gateway offers no lane")
	}
	fd, err := connectUDP(addr)
	if err != nil {
		return err
	}
	c.dg = &datagrams{fd: fd, buf: make([]byte, sealed.MaxPacket)}
	now := time.Now()
	if c.dg.lane, err = sealed.NewClient(sealed.ClientConfig{PingEvery: time.Hour, DeadAfter: time.Hour}, sealed.SessionID(m.GetSessionId()), now); err != nil {
		return err
	}
	err = c.dg.lane.Offer(sealed.Offer{
		CID: sealed.CID(offer.GetCid()), Token: offer.GetToken(), Secret: [32]byte(offer.GetSecret()), Epoch: uint8(offer.GetEpoch()),
		AEAD: sealed.AEAD(offer.GetAead()), Lifetime: time.Duration(offer.GetLifetimeMs()) * time.Millisecond, ResetValue: [16]byte(offer.GetResetValue()),
	}, now)
	if err != nil {
		return err
	}
	for !c.dg.lane.Bound() {
		if err := c.dg.control(); err != nil {
			return err
		}
		n, err := c.dg.await(ctx, 50*time.Millisecond)
		if err != nil {
			return err
		}
		now := time.Now()
		if n > 0 {
			c.dg.lane.Receive(c.dg.buf[:n], now, nobody{})
		}
		c.dg.lane.Tick(now)
		if c.dg.lane.State() == sealed.Unbound {
			return fmt.Errorf("the lane could not be bound: %v", c.dg.lane.Cause())
		}
	}
	return c.dg.control()
}

type nobody struct{}

func (nobody) Message(uint8, uint16, []byte) {}

// control sends what the lane itself has to say.
func (g *datagrams) control() error {
	for {
		out, ok := g.lane.Control(g.buf[:0], time.Now())
		if !ok {
			return nil
		}
		if _, err := g.write(out); err != nil {
			return err
		}
	}
}

// write sends one datagram. A full socket loses it, as the network might.
func (g *datagrams) write(b []byte) (sent bool, err error) {
	_, err = epoll.Write(g.fd, b)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) || errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, unix.ENOBUFS):
		return false, nil
	}
	return false, fmt.Errorf("a session was lost: %w", err)
}

// send sends c's next message, of size bytes, that counts from at.
func (g *datagrams) send(c *client, size int, at int64) (sent bool, err error) {
	number := c.sent
	c.sent++
	c.waiting.push(at)
	if g.lane == nil {
		g.buf = slices.Grow(g.buf[:0], size)[:size]
		binary.LittleEndian.PutUint64(g.buf, number)
		return g.write(g.buf)
	}
	c.payload = slices.Grow(c.payload[:0], size)[:size]
	binary.LittleEndian.PutUint64(c.payload, number)
	g.packet.Start(g.buf, sealed.ToGateway)
	if !g.packet.Message(0, uint16(number), c.payload) {
		return false, fmt.Errorf("%d bytes do not fit into a datagram", size)
	}
	out, err := g.lane.Seal(&g.packet, time.Now())
	if err != nil {
		return false, fmt.Errorf("a lane was lost: %w", err)
	}
	return g.write(out)
}

// pick finds the message of that number among those on the way; what was sent
// before it is taken for lost.
func (c *client) pick(number uint64) (at int64, ok bool) {
	for c.waiting.len() > 0 && c.received < number {
		c.forget()
	}
	if c.waiting.len() == 0 || c.received != number {
		return 0, false // late, or twice
	}
	c.received++
	return c.waiting.pop(), true
}

// forget takes the oldest message on the way for lost.
func (c *client) forget() {
	c.waiting.pop()
	c.received++
	c.lost++
}

// echo is what one datagram brought back.
type echo struct {
	g *Generator
	c *client
	k kind
}

// Message implements [sealed.Handler].
func (e echo) Message(_ uint8, _ uint16, m []byte) {
	if len(m) != e.g.size {
		return
	}
	if at, ok := e.c.pick(binary.LittleEndian.Uint64(m)); ok && e.k != nil {
		e.c.owed += e.k.echoed(at, e.g.now())
	}
}

// takeDatagram reads one datagram and plays on what is in it.
func (g *Generator) takeDatagram(c *client, k kind) error {
	n, err := epoll.Read(c.dg.fd, g.input)
	switch {
	case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) || errors.Is(err, unix.ECONNREFUSED):
		return nil
	case err != nil:
		return fmt.Errorf("a session was lost: %w", err)
	}
	c.dg.touched = g.now()
	if c.dg.lane == nil {
		echo{g, c, k}.Message(0, 0, g.input[:n])
	} else {
		c.dg.lane.Receive(g.input[:n], time.Now(), echo{g, c, k})
		if err := c.dg.control(); err != nil {
			return err
		}
	}
	for ; c.owed > 0; c.owed-- {
		if _, err := c.dg.send(c, g.size, g.now()); err != nil {
			return err
		}
	}
	return nil
}

// tend looks after lanes, and after messages that will not come back: of those a
// load that waits for echoes sends as many anew. Now and then.
func (g *Generator) tend(k kind) error {
	now := g.now()
	if now < g.tended+int64(tending/portions) {
		return nil
	}
	g.tended = now
	n := (len(g.clients) + portions - 1) / portions
	if g.untended >= len(g.clients) {
		g.untended = 0
	}
	from := g.untended
	g.untended = min(from+n, len(g.clients))
	for _, c := range g.clients[from:g.untended] {
		if c.dg == nil {
			return nil // all are of one sort
		}
		if l := c.dg.lane; l != nil {
			l.Tick(time.Now())
			if err := c.dg.control(); err != nil {
				return err
			}
		}
		if c.waiting.len() == 0 || now-c.dg.touched < int64(stalled) {
			continue
		}
		again := k.lost()
		for n := c.waiting.len(); n > 0; n-- {
			c.forget()
			if !again {
				continue
			}
			if _, err := c.dg.send(c, g.size, now); err != nil {
				return err
			}
		}
		c.dg.touched = now
	}
	return nil
}
