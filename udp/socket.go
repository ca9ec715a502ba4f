package udp

import (
	"errors"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"strait/transport"
	"strait/udp/sealed"
)

// maxReplies is how many answers without a lane, RETRY and RESET, wait at most.
const maxReplies = batchSize

// socket is one bound socket and the goroutine that reads it; socket_write.go is
// what is written to it.
type socket struct {
	// static
	service     *Service
	number      int
	port        port
	read, write int // sizes of the kernel's buffers in bytes; 0: not known
	kick        chan struct{}

	lanes atomic.Int64 // that write to it, now
	portCounters
	traffic

	// owned by the reader
	in    [batchSize]datagram
	taken taken

	// owned by who made writer busy
	out    []datagram
	sent   int    // of out
	memory []byte // of out
	packet sealed.Packet
	pulled []transport.Message
	turn   []*Lane
	next   int // of turn

	writer  atomic.Uint32
	waiting atomic.Bool // pending or replies is not empty

	// guarded by mu
	mu      sync.Mutex
	pending []*Lane // that may have something to send (Lane.listed)
	replies []reply
}

// reply is an answer without a lane.
type reply struct {
	b      [sealed.RetryLen]byte // the longer one
	n      int
	remote netip.AddrPort
	local  local
}

// taken collects the messages of one datagram.
type taken struct {
	pool     *transport.Pool
	messages []transport.Message
}

// Message takes a copy of m.
func (t *taken) Message(channel uint8, seq uint16, m []byte) {
	t.messages = append(t.messages, transport.Message{
		Delivery: transport.Unreliable, Channel: channel, Seq: seq, Buf: t.pool.Copy(m),
	})
}

func newSocket(sv *Service, number int, o opened) *socket {
	s := &socket{
		service: sv, number: number, read: o.read, write: o.write,
		kick:   make(chan struct{}, 1),
		memory: make([]byte, maxOut*sealed.MaxPacket),
		out:    make([]datagram, 0, maxOut),
		taken:  taken{pool: sv.config.Pool},
	}
	s.port = newPort(o, &s.portCounters, sv.config.NoBatch)
	if wrap := sv.config.inner.port; wrap != nil {
		s.port = wrap(s.port)
	}
	return s
}

// serve is the reader's goroutine; a shared socket has Shared instead.
func (s *socket) serve() {
	for {
		n, err := s.receive()
		if err != nil {
			return
		}
		s.process(s.in[:n])
	}
}

// receive reads into in. It sits out what may pass: an error is that the socket is
// closed or that its deadline is over.
func (s *socket) receive() (n int, err error) {
	pause := time.Millisecond
	for {
		n, err = s.port.read(s.in[:])
		if err == nil || closed(err) || errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		s.service.complain("reading a socket", err)
		time.Sleep(pause) // one that fails all the time must not cost a core
		pause = min(2*pause, 100*time.Millisecond)
	}
}

func isDone(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// process serves datagrams that came together as one turn: what they make anyone
// want to send is written at its end.
func (s *socket) process(in []datagram) {
	sv := s.service
	sv.Cork()
	var turns transport.Turns
	if p := sv.turns.Load(); p != nil && (*p).BeginTurn(s.number) {
		turns = *p
	}
	now := sv.config.inner.now()
	size := 0
	for i := range in {
		size += len(in[i].b)
		s.take(&in[i], now)
	}
	s.datagramsIn.add(len(in))
	s.bytesIn.add(size)
	if turns != nil {
		turns.EndTurn(s.number)
	}
	sv.Uncork()
}

// take serves one datagram, cheapest checks first.
func (s *socket) take(d *datagram, now time.Time) {
	sv := s.service
	t, ok := sealed.TypeOf(d.b)
	switch {
	case len(d.b) > sealed.MaxPacket:
		sv.drops.Add(sealed.DropSize)
	case ok && t == sealed.TypeHello:
		sv.hellos[s.hello(d, now)].add(1)
	case ok && t == sealed.TypeData:
		if len(d.b) < sealed.MinData {
			sv.drops.Add(sealed.DropSize)
			return
		}
		id := parseCID(d.b[1:])
		l := sv.table.find(id)
		if l == nil {
			sv.drops.Add(sealed.DropUnknown)
			s.reset(d, id, now)
			return
		}
		if l.receive(s, d, now) == sealed.DropAuth {
			sv.load.failure(now.UnixNano())
		}
	default:
		sv.drops.Add(sealed.DropType)
	}
}

// reset answers what is for a lane that nobody knows, if it is not too often.
func (s *socket) reset(d *datagram, id cid, now time.Time) {
	sv := s.service
	per := time.Second / time.Duration(sv.config.ResetRate)
	if !sv.resetRate.take(now.UnixNano(), per, sv.config.ResetRate/4+1) {
		sv.resetsWithheld.add(1)
		return
	}
	r := reply{remote: d.remote, local: d.local}
	r.n = len(sealed.AppendReset(r.b[:0], d.b, sv.resets.Value(id.bytes())))
	if s.answer(&r) {
		sv.resetsSent.add(1)
	}
}

// answer queues a copy of r, or drops it when too many wait.
func (s *socket) answer(r *reply) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.replies) == maxReplies {
		s.service.repliesDropped.add(1)
		return false
	}
	s.replies = append(s.replies, *r)
	s.waiting.Store(true)
	return true
}
