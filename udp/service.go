package udp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"strait/internal/fleetkey"
	"strait/transport"
	"strait/udp/sealed"
)

// ErrNoAEAD refuses a lane to a client that takes no AEAD that the gateway takes.
var ErrNoAEAD = errors.New("udp: no AEAD in common")

// ErrFull refuses a lane above Config.MaxLanes; it matches [transport.ErrLanesFull].
var ErrFull = fmt.Errorf("udp: %w", transport.ErrLanesFull)

// errClosed says what happened after Close; it matches net.ErrClosed.
var errClosed = fmt.Errorf("udp: %w", net.ErrClosed)

const (
	// lastWords is how long Close may take to write what lanes have to say.
	lastWords = 250 * time.Millisecond
	// complainEvery is the least time between two log entries about a socket.
	complainEvery = 5 * time.Second
)

// Service gives sessions unreliable lanes over sealed UDP (WIRE.md section 6). It
// implements [transport.Offerer], [transport.TurnTaker] and [transport.Corker].
type Service struct {
	// static
	config     Config
	aeads      []sealed.AEAD
	gateway    *sealed.Gateway
	tokens     *sealed.Tokens
	cookies    *sealed.Cookies
	resets     *sealed.Resets
	table      *table
	wheel      *wheel
	prefixes   *prefixes
	sockets    []*socket
	shared     *Shared // nil: the socket is not shared
	addr       net.Addr
	advertise  string
	maxMessage int
	turns      atomic.Pointer[transport.Turns] // nil: nobody is told

	load      load
	resetRate rate
	corked    atomic.Int32
	complains rate

	counters

	deaf    chan struct{} // closed when readers are to end
	stop    chan struct{} // and the others, after them
	readers sync.WaitGroup
	others  sync.WaitGroup // the wheel, and those who stand by to write

	// guarded by mu
	mu     sync.Mutex
	closed bool
	ended  chan struct{} // closed when Close has done its work
}

var (
	_ transport.Offerer   = (*Service)(nil)
	_ transport.TurnTaker = (*Service)(nil)
	_ transport.Corker    = (*Service)(nil)
	_ transport.Lane      = (*Lane)(nil)
)

// Listen serves sealed UDP on addr, "host:port"; an empty host is every address,
// IPv4 and IPv6. It serves from now on, or with Config.Share as long as Shared is read.
func Listen(ctx context.Context, addr string, c Config) (*Service, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	sv := &Service{
		config: c, table: newTable(min(2*c.MaxLanes, maxSlots)), prefixes: newPrefixes(),
		deaf: make(chan struct{}), stop: make(chan struct{}), ended: make(chan struct{}),
		maxMessage: min(c.MaxMessage, longest),
	}
	for _, a := range c.AEADs {
		sv.aeads = append(sv.aeads, sealed.AEAD(a))
	}
	all, err := open(ctx, addr, c.Sockets, c.ReadBufferBytes, c.WriteBufferBytes)
	if err != nil {
		return nil, err
	}
	sv.addr = all[0].conn.LocalAddr()
	if err := sv.secrets(); err != nil {
		for _, o := range all {
			_ = o.conn.Close()
		}
		return nil, err
	}
	if sv.advertise = c.Advertise; sv.advertise == "" {
		sv.advertise = ":" + strconv.Itoa(sv.addr.(*net.UDPAddr).Port)
	}
	for i, o := range all {
		o.share = c.Share
		s := newSocket(sv, i, o)
		sv.sockets = append(sv.sockets, s)
		if c.Share {
			sv.shared = &Shared{socket: s, opened: o}
		}
	}
	sv.warn(all[0])
	sv.wheel = newWheel(sv, c.inner.now)
	sv.others.Go(func() { sv.wheel.run(sv.stop) })
	for _, s := range sv.sockets {
		if sv.shared == nil {
			sv.readers.Go(s.serve)
		}
		sv.others.Go(func() { s.stand(sv.stop) })
	}
	return sv, nil
}

// longest is the longest message in bytes that fragments carry.
var longest = func() int {
	n := sealed.MaxMessage
	for step := 1 << 15; step > 0; step /= 2 {
		if sealed.Pieces(n+step, sealed.ToClient) != 0 && sealed.Pieces(n+step, sealed.ToGateway) != 0 {
			n += step
		}
	}
	return n
}()

// secrets derives the keys and makes what uses them.
func (sv *Service) secrets() (err error) {
	c := &sv.config
	ring, random := c.FleetKey, fleetkey.Generate()
	if len(ring.Derive("udp token")) == 0 {
		ring = random
	}
	if sv.tokens, err = sealed.NewTokens(ring.Derive("udp token"), nil); err != nil {
		return fmt.Errorf("udp: %w", err)
	}
	sv.cookies = sealed.NewCookies(ring.Derive("udp cookie")[0])
	// No other gateway may have the key of reset values (WIRE.md section 6.3), also
	// none on the same host: the address is in it. One without a name has a key that
	// nobody else knows.
	if c.NodeID == "" {
		ring = random
	}
	sv.resets = sealed.NewResets(ring.Derive("udp reset", c.NodeID, sv.addr.String())[0])
	sv.gateway, err = sealed.NewGateway(sealed.Config{
		Shared: sealed.Shared{Counters: &sv.drops, EpochPackets: c.inner.epochPackets, MaxMessage: sv.maxMessage},
		Tokens: sv.tokens, Resets: sv.resets, IdleTimeout: c.Silence, TokenLifetime: c.TokenLifetime,
	})
	if err != nil {
		return fmt.Errorf("udp: %w", err)
	}
	return nil
}

// warn says when the kernel gave less than was asked for.
func (sv *Service) warn(o opened) {
	c, log := &sv.config, sv.config.Logger
	if o.read != 0 && o.read < c.ReadBufferBytes {
		log.Warn("the UDP read buffer is smaller than asked for: bursts will be lost; raise net.core.rmem_max", "asked", c.ReadBufferBytes, "granted", o.read)
	}
	if o.write != 0 && o.write < c.WriteBufferBytes {
		log.Warn("the UDP write buffer is smaller than asked for; raise net.core.wmem_max", "asked", c.WriteBufferBytes, "granted", o.write)
	}
	if !c.NoBatch && sv.sockets[0].port.waits() && shards {
		log.Warn("the system refuses recvmmsg or sendmmsg: one datagram with each system call")
	}
}

// complain logs about a socket, not too often.
func (sv *Service) complain(what string, err error) {
	if sv.complains.take(time.Now().UnixNano(), complainEvery, 1) {
		sv.config.Logger.Warn(what, "addr", sv.addr.String(), "err", err)
	}
}

// Addr is the address that the sockets are bound to.
func (sv *Service) Addr() net.Addr { return sv.addr }

// Shared is QUIC's half of the socket; nil without Config.Share.
func (sv *Service) Shared() *Shared { return sv.shared }

// SetTurns makes readers tell t of their turns: socket i for shard i. Before the
// first Offer.
func (sv *Service) SetTurns(t transport.Turns) { sv.turns.Store(&t) }

// Offer makes a lane that is not bound yet, with its first offer. The error matches
// ErrNoAEAD, ErrFull or net.ErrClosed.
func (sv *Service) Offer(a transport.Attachment) (transport.Lane, transport.Offer, error) {
	aead, ok := sealed.Choose(a.AEADs, sv.aeads...)
	if !ok {
		return nil, transport.Offer{}, ErrNoAEAD
	}
	sv.mu.Lock()
	defer sv.mu.Unlock()
	if sv.closed {
		return nil, transport.Offer{}, errClosed
	}
	s := sv.socketFor(a.Shard)
	// The table has as many slots again for ids that are known after their end: all
	// players may come back at once.
	id, ok := cid(0), false
	if sv.lanes.Load() < int64(sv.config.MaxLanes) {
		id, ok = sv.table.reserve(uint8(s.number))
	}
	if !ok {
		return nil, transport.Offer{}, ErrFull
	}
	now := sv.config.inner.now()
	l := &Lane{service: sv, socket: s, id: id, client: unmap(a.Remote), peer: a.Peer}
	l.core = sv.gateway.Lane(sealed.SessionID(a.Session), id.bytes(), aead, now)
	o, err := l.core.Offer(l.client, now)
	if err != nil {
		sv.table.release(id)
		return nil, transport.Offer{}, fmt.Errorf("udp: %w", err)
	}
	sv.lanes.Add(1)
	s.lanes.Add(1)
	sv.offers.add(1)
	deadline := l.core.Deadline()
	sv.table.put(l) // from here on others may call it
	sv.wheel.by(l, deadline)
	return l, *sv.offer(o), nil
}

// socketFor chooses the socket of a session's lane: the one of its dispatcher shard,
// whose turns serve both (SetTurns), unless others have clearly less to do. There may
// be fewer shards with sessions than sockets.
func (sv *Service) socketFor(shard int) *socket {
	home := sv.sockets[uint(shard)%uint(len(sv.sockets))]
	least := home
	for _, s := range sv.sockets {
		if s.lanes.Load() < least.lanes.Load() {
			least = s
		}
	}
	if n := least.lanes.Load(); home.lanes.Load() > n+n/4+2 {
		return least
	}
	return home
}

// offer turns the core's offer into one that travels.
func (sv *Service) offer(o sealed.Offer) *transport.Offer {
	return &transport.Offer{
		Address: sv.advertise, CID: o.CID, Token: o.Token, Secret: o.Secret, Epoch: o.Epoch,
		AEAD: uint8(o.AEAD), Lifetime: o.Lifetime, ResetValue: o.ResetValue,
	}
}

// Cork makes Wakes only be remembered until Uncork.
func (sv *Service) Cork() { sv.corked.Add(1) }

// Uncork writes for all that were woken, also while others have corked: else a
// process that is never idle would never write.
func (sv *Service) Uncork() {
	sv.corked.Add(-1)
	for _, s := range sv.sockets {
		if s.waiting.Load() {
			s.flush()
		}
	}
}

// Close ends every lane, tells bound clients so, and returns when all goroutines
// have ended. Idempotent. It closes the socket: who reads Shared ends before.
func (sv *Service) Close() error {
	sv.mu.Lock()
	if sv.closed {
		sv.mu.Unlock()
		<-sv.ended
		return nil
	}
	sv.closed = true
	sv.mu.Unlock()
	defer close(sv.ended)
	close(sv.deaf)
	for _, s := range sv.sockets {
		s.port.hurry(time.Now().Add(lastWords))
		if sv.shared == nil {
			s.port.deafen()
		}
	}
	sv.readers.Wait()
	if sv.shared != nil {
		sv.shared.deafen()
	}
	sv.Cork()
	sv.table.each(func(l *Lane) {
		if l.core != nil {
			l.Close(transport.Reason{Code: transport.Draining})
		}
	})
	sv.Uncork()
	close(sv.stop)
	sv.others.Wait()
	var errs []error
	for _, s := range sv.sockets {
		errs = append(errs, s.port.close())
	}
	return errors.Join(errs...)
}

// unmap returns a with an IPv4 address as such and without a zone: a peer is
// known by address and port, and the interface comes with our own address.
func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}
