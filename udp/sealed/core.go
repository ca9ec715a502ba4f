package sealed

import (
	"encoding/binary"
	"errors"
	"time"
)

const (
	// oldEpoch is how long the epoch before is taken (WIRE.md section 6.6).
	oldEpoch    = 3 * time.Second
	reportEvery = time.Second
	reportRides = time.Second / 4 // how much sooner a REPORT goes, or later the first, to ride
	maxPongs    = 64              // that wait to be sent: what one read of a socket may bring; more PINGs get no answer
	maxRTT      = time.Minute
)

var (
	// ErrUnbound refuses a packet: the lane is not bound. Its messages are to go
	// another way.
	ErrUnbound = errors.New("sealed: the lane is not bound")
	// ErrEmpty refuses a packet without a frame.
	ErrEmpty = errors.New("sealed: the packet is empty")
	// ErrBudget refuses a packet to an address that has not proven itself and was sent
	// as much as came from it. The messages in it are lost.
	ErrBudget = errors.New("sealed: the client's new address has not proven itself")
	// ErrEnded refuses what needs a lane that was not closed.
	ErrEnded = errors.New("sealed: the lane was closed")
	// ErrOfferPending refuses an offer while the lane is bound and either the one
	// before was not used yet or the epoch before it is still taken.
	ErrOfferPending = errors.New("sealed: the lane is bound and its last rotation has not ended")
)

// instant is time since the core's base, at least 1: 0 is never.
type instant = time.Duration

// Handler takes the messages of a packet, in its order.
type Handler interface {
	// Message is one message; m is borrowed until return. Nothing of the lane may be
	// called from here.
	Message(channel uint8, seq uint16, m []byte)
}

// Path is what was measured of a lane (WIRE.md section 7). Zero is not measured yet.
type Path struct {
	RTT    time.Duration // smoothed as in RFC 6298
	Jitter time.Duration // its mean deviation
	Loss   float64       // smoothed share of what this end sent that got lost, 0 to 1
}

// Cause is why a lane is not bound.
type Cause uint8

const (
	CauseNone      Cause = iota // it is bound, or never was
	CauseFailed                 // no answer to a series of HELLOs
	CauseDead                   // no answer to PINGs
	CauseIdle                   // nothing came from the client
	CauseReset                  // the gateway does not know the lane
	CauseRemote                 // the other end sent CLOSE
	CauseLocal                  // Close was called
	CauseExhausted              // an epoch reached its limit
	CauseReplaced               // an offer for another lane, or one out of order

	causes // count; keep last
)

var causeNames = [causes]string{"none", "failed", "dead", "idle", "reset", "remote", "local", "exhausted", "replaced"}

// String is a name for logs and metrics.
func (c Cause) String() string {
	if c < causes {
		return causeNames[c]
	}
	return "unknown"
}

// Offer is what a UDP_OFFER says of a lane (WIRE.md section 6.1), all but the address.
// It is secret.
type Offer struct {
	CID        CID
	Token      []byte // 1 to MaxToken bytes
	Secret     [32]byte
	Epoch      uint8
	AEAD       AEAD
	Lifetime   time.Duration // of the token, until its first use
	ResetValue [16]byte
}

type pong struct {
	body uint64
	came instant
}

// core is what both ends of a lane have in common.
type core struct {
	settings *settings
	base     time.Time
	latest   instant // that a caller told
	session  SessionID
	cid      CID
	aead     AEAD
	out      Direction

	scratch [ivLen]byte            // nonce: on the heap, once
	aad     [clientHeader + 8]byte // likewise

	cur, prev *epoch
	prevUntil instant // 0: no limit yet

	bound    bool
	cause    Cause
	closing  bool // a CLOSE is to be sent under cur, then nothing
	code     uint16
	pingNow  bool
	reported bool // a REPORT came, so that loss is known

	pongs    []pong  // that wait to be sent, the oldest first
	heard    instant // last authenticated packet
	pinged   instant // last PING
	ponged   uint64  // body of the last PONG
	reportAt instant // 0: no traffic to report
	lastSent instant // last REPORT
	sentAt   instant // last packet with messages
	rtt      rtt
	loss     float64
	partials *reassembly // nil: nothing waits
}

// at turns a caller's time into an instant. It never goes back: goroutines look at the
// clock before they have the owner's lock, and get that in another order.
func (c *core) at(now time.Time) instant {
	c.latest = max(c.latest, now.Sub(c.base)+1, 1)
	return c.latest
}

// when is the reverse; an instant of 0 is the zero time.
func (c *core) when(at instant) time.Time {
	if at == 0 {
		return time.Time{}
	}
	return c.base.Add(at - 1)
}

func (c *core) drop(d Drop) Drop {
	c.settings.counters.Add(d)
	return d
}

// path is what was measured.
func (c *core) path() Path { return Path{RTT: c.rtt.smoothed, Jitter: c.rtt.deviation, Loss: c.loss} }

// unbind forgets what only a bound lane has. The keys stay.
func (c *core) unbind(cause Cause) {
	c.bound, c.cause = false, cause
	c.pongs, c.pingNow, c.reportAt, c.partials = nil, false, 0, nil
}

// spent reports whether the epoch that sends has one packet number left, for CLOSE,
// or is over otherwise.
func (c *core) spent(at instant) bool {
	e := c.cur
	return e.next+1 >= c.settings.epochPackets || e.received >= c.settings.epochPackets || at-e.began >= c.settings.epochAge
}

// expire drops what does not stay: the epoch before, partial messages.
func (c *core) expire(at instant) {
	if c.prev != nil && c.prevUntil != 0 && at >= c.prevUntil {
		c.prev = nil
	}
	if c.partials != nil {
		c.partials.expire(at, c.settings)
		if len(c.partials.all) == 0 {
			c.partials = nil
		}
	}
}

// common takes the frames that mean the same at both ends. f is a whole frame that
// check has passed, received under e.
func (c *core) common(e *epoch, f []byte, at instant, h Handler) {
	switch f[0] {
	case framePing:
		if len(c.pongs) == maxPongs {
			c.drop(DropRate)
			return
		}
		c.pongs = append(c.pongs, pong{body: binary.BigEndian.Uint64(f[1:]), came: at})
	case framePong:
		c.pong(binary.BigEndian.Uint64(f[1:]), binary.BigEndian.Uint32(f[9:]), at)
	case frameMessage:
		c.traffic(at)
		h.Message(f[1], binary.BigEndian.Uint16(f[2:]), f[messageLen:])
	case frameFragment:
		c.traffic(at)
		if c.partials == nil {
			c.partials = &reassembly{}
		}
		c.partials.expire(at, c.settings)
		if m, done := c.partials.add(f, at, c.settings); done {
			h.Message(f[1], binary.BigEndian.Uint16(f[2:]), m)
		}
		if len(c.partials.all) == 0 {
			c.partials = nil
		}
	case frameReport:
		c.report(e, binary.BigEndian.Uint32(f[1:]), binary.BigEndian.Uint32(f[5:]))
	}
}

// pong measures. The body of a PING is the instant when it was sent.
func (c *core) pong(body uint64, delay uint32, at instant) {
	if body <= c.ponged || body > uint64(c.pinged) {
		return // nobody asked, or a newer answer came before
	}
	c.ponged = body
	d := at - instant(body) - time.Duration(delay)*time.Microsecond
	if d >= 0 && d <= maxRTT {
		c.rtt.sample(max(d, time.Microsecond))
	}
}

// traffic has a REPORT sent, once a second: a second after the first message that no
// REPORT counts, or soon where the last one is long past.
func (c *core) traffic(at instant) {
	switch {
	case c.reportAt != 0:
	case c.lastSent == 0 || at-c.lastSent >= reportEvery:
		c.reportAt = at + reportRides
	default:
		c.reportAt = at + reportEvery
	}
}

// reports tells whether a packet that leaves now takes the REPORT along: it is due, or
// will be before the next packet, going by how long ago the last one was. Lanes with a
// message a second, of which a game has thousands, so send none for the REPORT alone.
func (c *core) reports(at instant) bool {
	early := c.reportAt - at
	return c.reportAt != 0 && (early <= 0 || early <= reportRides && early <= at-c.sentAt)
}

// report takes the peer's REPORT on what this end sent under e: of the packets since
// the one before, the share that is missing (WIRE.md section 7).
func (c *core) report(e *epoch, highest, count uint32) {
	sent, came := highest-e.peerHighest, count-e.peerCount
	if !e.reportedBefore() {
		sent, came = highest+1, count
	}
	if int32(sent) <= 0 || came > sent || uint64(highest) >= e.next {
		return // overtaken by a newer one, or nonsense
	}
	e.peerHighest, e.peerCount = highest, count
	loss := 1 - float64(came)/float64(sent)
	if !c.reported {
		c.reported, c.loss = true, loss
		return
	}
	c.loss += (loss - c.loss) / 4
}

func (e *epoch) reportedBefore() bool { return e.peerCount != 0 }

// ride appends the frames that wait for the peer to p, as far as they fit into room
// bytes of frames. What does not fit goes on waiting.
func (c *core) ride(p *Packet, at instant, room int) {
	limit, sent := p.n+room, 0
	for ; sent < len(c.pongs); sent++ {
		g := c.pongs[sent]
		if !p.timed(framePong, g.body, uint32(min((at-g.came).Microseconds(), 1<<32-1)), limit-p.n) {
			break
		}
	}
	c.pongs = c.pongs[:copy(c.pongs, c.pongs[sent:])]
	if c.pingNow && p.opaque(framePing, uint64(at), limit-p.n) {
		c.pingNow, c.pinged = false, at
	}
	if c.reports(at) {
		w := c.cur
		if w.received == 0 || p.opaque(frameReport, (w.window.next-1)<<32|w.received&(1<<32-1), limit-p.n) {
			c.reportAt, c.lastSent = 0, at
		}
	}
}

// waiting reports whether ride has something to append.
func (c *core) waiting(at instant) bool {
	return len(c.pongs) > 0 || c.pingNow || c.reportAt != 0 && at >= c.reportAt
}

// earliest gathers deadlines; 0 is none.
type earliest instant

func (e *earliest) add(at instant) {
	if at != 0 && (*e == 0 || at < instant(*e)) {
		*e = earliest(at)
	}
}

// deadlines adds those that both ends have.
func (c *core) deadlines(e *earliest) {
	if c.prev != nil {
		e.add(c.prevUntil)
	}
	if c.partials != nil {
		e.add(c.partials.all[0].began + reassemblyTime)
	}
	if c.bound {
		e.add(c.cur.began + c.settings.epochAge)
		e.add(c.reportAt)
	}
}
