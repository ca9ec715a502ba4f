package tcp

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"strait/internal/direct"
	"strait/transport"
)

// moved is a connection that lives on an event loop: its descriptor is out of
// Go's poller, its TLS reads from and writes to memory, and it has no goroutine.
type moved struct {
	// static
	c    *Conn
	loop *loop
	fd   int
	slot uint32
	// generation tells this use of the slot from others.
	generation uint32

	// owned by the loop
	left     []byte // plaintext that the lane did not take
	own      bool   // the memory in which crypto/tls collects ciphertext is not lent
	unread   bool   // TLS may have something to say without new input
	paused   bool
	over     bool // reading has ended: what arrives is discarded
	discard  int  // bytes that may still be discarded
	ended    bool // the client has ended its side
	written  bool // FIN was sent
	finished bool // the descriptor is closed
	timer    *time.Timer

	expired atomic.Bool // the timer has fired
	listed  atomic.Bool // on the loop's run list

	// guarded by mu, a leaf
	mu       sync.Mutex
	interest uint32 // what epoll reports
	absent   bool   // epoll does not know the descriptor

	// owned by whoever holds the write ownership (Conn.writer is busy)
	out     []byte // ciphertext that the socket did not take yet
	outBuf  *[]byte
	outDone bool // nothing follows out
}

// move takes c, whose reader calls it and whose writer is held, onto a loop;
// false: it stays where it is.
func (c *Conn) move() bool {
	raw, ok := c.sock.Conn.(*net.TCPConn)
	if !ok {
		return false
	}
	fd, err := duplicate(raw)
	if err != nil {
		c.l.config.Logger.Debug("a connection stays off the event loop", "remote", c.remote.String(), "err", err)
		return false
	}
	lp := c.l.loops.all[c.loop]
	m := &moved{c: c, loop: lp, fd: fd, own: true, unread: true, absent: true}
	_ = raw.Close() // leaves Go's poller; the connection lives on in fd
	c.sock.memory = true
	lp.enter(m) // from here on the loop may see all of it
	c.moved.Store(m)
	c.writer.Store(idle)
	// Ends that were asked for until now poked a reader that is gone, what was to be
	// written waited for a writer, and TLS may hold what epoll will never report: the
	// first turn looks for all of them, and only then asks epoll for input.
	lp.schedule(m)
	return true
}

// duplicate returns a second descriptor of the connection's socket.
func duplicate(raw *net.TCPConn) (fd int, err error) {
	rc, err := raw.SyscallConn()
	if err != nil {
		return -1, err
	}
	var dupErr error
	err = rc.Control(func(old uintptr) {
		fd, dupErr = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 3)
	})
	if err = errors.Join(err, os.NewSyscallError("fcntl", dupErr)); err != nil {
		return -1, err
	}
	return fd, nil
}

// reschedule makes the loop look at the connection. Any goroutine.
func (m *moved) reschedule() { m.loop.schedule(m) }

// want adds and removes events that epoll reports. Any goroutine that may touch
// the descriptor.
func (m *moved) want(add, remove uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := m.interest&^remove | add
	if next == m.interest && (!m.absent || next == 0) {
		return
	}
	op := unix.EPOLL_CTL_MOD
	if m.absent {
		op = unix.EPOLL_CTL_ADD
	}
	m.interest, m.absent = next, false
	e := unix.EpollEvent{Events: next, Fd: int32(m.slot), Pad: int32(m.generation)}
	m.check(unix.EpollCtl(m.loop.epoll, op, m.fd, &e))
}

// forget makes epoll silent about the descriptor, also about the hang-up that it
// reports unasked, until the next want. A writer who waits for room finds the
// hang-up himself, at once: it counts as room.
func (m *moved) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.absent && m.interest&unix.EPOLLOUT == 0 {
		m.absent, m.interest = true, 0
		m.check(unix.EpollCtl(m.loop.epoll, unix.EPOLL_CTL_DEL, m.fd, nil))
	}
}

func (m *moved) check(err error) {
	if err != nil {
		m.c.l.config.Logger.Error("epoll_ctl", "remote", m.c.remote.String(), "err", err)
		m.c.broken.Store(true)
		m.loop.schedule(m)
	}
}

// readable reads the socket once and hands on what came. By the loop.
func (m *moved) readable(now time.Time) {
	switch {
	case m.finished:
		return
	case m.over:
		m.drop()
		return
	case m.paused:
		// Not asked for: the connection was reset. That is found out when it is read
		// again, after what it said before.
		m.forget()
		return
	case m.unread:
		return // its plaintext may lie where more input would go: attend comes first
	}
	n, err := direct.Read(m.fd, m.loop.in)
	switch {
	case err == unix.EAGAIN && m.c.broken.Load():
		m.lost(errors.New("writing failed"))
		return
	case err == unix.EAGAIN || err == unix.EINTR:
		return
	case err != nil:
		m.lost(os.NewSyscallError("read", err))
		return
	case n == 0:
		m.lost(io.EOF)
		return
	}
	m.c.l.counters.bytesIn.Add(uint64(n))
	m.lend(m.loop.in[:n])
	m.consume(now)
	m.keep()
}

// lend gives ciphertext in the loop's memory to TLS, for this turn.
func (m *moved) lend(b []byte) {
	s := &m.c.sock
	switch {
	case rawInputAt < 0:
		s.input = b
	case m.own:
		rawInput(m.c.tls).Write(b)
	default:
		*rawInput(m.c.tls) = *bytes.NewBuffer(b)
	}
}

// keep moves what is left of lent memory into memory of the connection's own,
// and gives back memory that is no longer needed.
func (m *moved) keep() {
	if m.over {
		return
	}
	s := &m.c.sock
	if rawInputAt < 0 {
		s.input = bytes.Clone(s.input)
		return
	}
	raw := rawInput(m.c.tls)
	switch {
	case raw.Len() == 0:
		*raw = bytes.Buffer{}
		m.own = false
	case !m.own || raw.Cap() > 2*raw.Len()+bytes.MinRead:
		*raw = *bytes.NewBuffer(bytes.Clone(raw.Bytes()))
		m.own = true
	}
}

// forgo gives back what TLS was not asked to decrypt.
func (m *moved) forgo() {
	if rawInputAt < 0 {
		m.c.sock.input = nil
		return
	}
	*rawInput(m.c.tls) = bytes.Buffer{}
	m.own = false
}

// more reports whether reading from TLS can give anything.
func (m *moved) more() bool {
	if rawInputAt < 0 || m.unread {
		return true
	}
	return wholeRecord(rawInput(m.c.tls).Bytes())
}

// consume hands the lane what TLS holds, until that is dry or the lane is full.
func (m *moved) consume(now time.Time) {
	c := m.c
	for !m.over {
		if len(m.left) > 0 {
			n, _ := c.core.Feed(m.left, now) // an error is the end that Finished tells
			m.left = m.left[n:]
			if len(m.left) == 0 {
				m.left = nil
			}
		}
		switch {
		case c.core.Finished():
			m.wind()
			return
		case len(m.left) > 0 || c.core.Space() == nil:
			m.pause()
			m.flush()
			return
		case !m.more():
			m.flush()
			return
		}
		n, err := c.tls.Read(m.loop.plain)
		if n > 0 {
			k, _ := c.core.Feed(m.loop.plain[:n], now)
			if k < n && !c.core.Finished() {
				m.left = bytes.Clone(m.loop.plain[k:n])
			}
		}
		switch {
		case err == nil:
		case n > 0:
			m.unread = true // TLS says it again, after what came before it was taken
		case err == error(errDry):
			m.unread = false
			m.flush()
			return
		default:
			m.flush() // the alert that says why
			m.lost(err)
			return
		}
	}
}

// flush writes what reading gave rise to: PONGs, and what TLS itself had to say.
func (m *moved) flush() {
	if m.c.core.Owes() || m.c.sock.pendingOut() {
		m.wake()
	}
}

// pause stops reading until Resume.
func (m *moved) pause() {
	m.paused = true
	m.want(0, unix.EPOLLIN|unix.EPOLLRDHUP)
}

// attend is called when the connection is on the run list: it was moved, resumed,
// asked to end, or its writer or timer has something to tell.
func (m *moved) attend(now time.Time) {
	c := m.c
	if m.finished {
		return
	}
	if r := c.ending.Load(); r != nil && !m.over {
		c.core.End(*r)
		m.wind()
	}
	switch {
	case m.over:
		m.settle()
		return
	case c.severed.Load():
		m.lost(net.ErrClosed)
		return
	}
	_ = c.core.Resume()
	m.paused = false
	m.consume(now)
	m.keep()
	switch {
	case m.paused || m.over:
	case c.broken.Load():
		// It is over, but what the client said last may still be there to be read.
		m.loop.schedule(m)
		m.readable(now)
	default:
		m.want(unix.EPOLLIN|unix.EPOLLRDHUP, 0)
	}
	if c.writer.Load() == idle {
		m.wake()
	}
}

// lost ends a connection that broke without CLOSE, unless its end was asked for
// before: then it is that end, and what is read next says so again.
func (m *moved) lost(err error) {
	if r := m.c.ending.Load(); r != nil {
		m.c.core.End(*r)
		m.wind()
		return
	}
	if err == io.EOF {
		err = errors.New("the client ended the connection without CLOSE")
	}
	m.c.core.End(transport.Reason{Code: transport.Normal, Lost: true, Text: err.Error()})
	m.wind()
}

// wind begins the end: reading is over and Closing was told. What is queued, CLOSE,
// close_notify and FIN are written, and input is discarded, until the client ends
// its side or the time is over.
func (m *moved) wind() {
	c := m.c
	m.over, m.paused, m.left = true, false, nil
	m.forgo()
	m.discard = c.l.config.LingerBytes
	reason := c.reason
	c.ending.CompareAndSwap(nil, &reason)
	if reason.Lost {
		c.l.counters.lostByTheOther.Add(1)
		m.expired.Store(true)
	} else {
		m.timer = time.AfterFunc(c.l.config.Linger, m.expire)
		m.want(unix.EPOLLIN|unix.EPOLLRDHUP, 0)
		m.wake()
	}
	m.settle()
}

func (m *moved) expire() {
	m.expired.Store(true)
	m.loop.schedule(m)
}

// drop reads and discards, up to the limit; what comes after it stays unread.
func (m *moved) drop() {
	if m.discard == 0 || m.ended {
		m.forget()
		return
	}
	n, err := direct.Read(m.fd, m.loop.in[:min(len(m.loop.in), m.discard)])
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
	case n > 0:
		m.c.l.counters.bytesIn.Add(uint64(n))
		if m.discard -= n; m.discard == 0 {
			m.want(0, unix.EPOLLIN|unix.EPOLLRDHUP)
		}
	default:
		m.ended = true
		m.want(0, unix.EPOLLIN|unix.EPOLLRDHUP)
		if err != nil {
			m.forget()
		}
		m.settle()
	}
}

// settle closes the descriptor once everything is written and the client has
// ended its side, or when that will not be. By the loop.
func (m *moved) settle() {
	c := m.c
	if m.finished {
		return
	}
	if !m.written && c.writer.Load() == stopped && !c.broken.Load() {
		m.written = true
		if m.timer != nil && m.timer.Stop() {
			m.timer.Reset(c.l.config.Linger)
		}
	}
	if !m.expired.Load() && !c.severed.Load() && !c.broken.Load() && (!m.written || !m.ended) {
		return
	}
	// Under write ownership nobody else touches the descriptor.
	for {
		w := c.writer.Load()
		if w == busy || w == again {
			m.loop.schedule(m) // its owner never waits, so it is free soon
			return
		}
		if w == stopped {
			break
		}
		if c.writer.CompareAndSwap(w, stopped) {
			c.broken.Store(true) // the end was not written
			break
		}
	}
	m.close()
}

// close gives everything back and says Gone.
func (m *moved) close() {
	c := m.c
	m.finished = true
	if m.timer != nil {
		m.timer.Stop()
	}
	if !c.reason.Lost {
		if c.broken.Load() {
			c.l.counters.forced.Add(1)
		} else {
			c.l.counters.lingered.Add(1)
		}
	}
	m.loop.leave(m)
	_ = unix.Close(m.fd)
	m.sent()
	if b := c.sock.takeOutput(); b != nil {
		putBuffer(b)
	}
	relay{c}.Gone(c.reason)
	c.l.conns.Remove(c)
}
