package tcp

import (
	"encoding/binary"
	"errors"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"strait/internal/direct"
	"strait/transport"
)

const (
	// readSize is what one turn reads from one socket at most.
	readSize = 64 << 10
	// eventsAtOnce is how many ready sockets one call of epoll_wait reports.
	eventsAtOnce = 256
	// wakeSlot stands in epoll's data for the loop's own eventfd.
	wakeSlot = -1
)

// loop serves many open connections with one goroutine: it waits for readiness,
// reads each ready socket once into one shared buffer, and hands on what was in
// it. Anyone may write to a connection (see moved); only its loop reads, changes
// what epoll reports, and closes.
type loop struct {
	// static once started
	number int
	turns  transport.Turns
	epoll  int
	file   *os.File // the same descriptor, in Go's poller
	raw    syscall.RawConn
	wake   int      // eventfd
	waker  *os.File // the same descriptor, to write to: it may be closed by then, and its number another's

	// owned by the loop
	in      []byte // ciphertext of this turn
	plain   []byte // plaintext of one record
	events  []unix.EpollEvent
	ready   int
	turn    []*moved
	retired []uint32 // slots free again after this turn
	waitFn  func(uintptr) bool
	waitErr error

	// guarded by mu
	mu     sync.Mutex
	slots  []slot
	free   []uint32
	run    []*moved // to be attended to although epoll says nothing
	closed bool

	awake atomic.Bool // the loop will look at run before it waits, or the eventfd will make it
	done  chan struct{}
}

// slot is a place that epoll's data names. The generation tells a late event of
// an old connection from one of the new.
type slot struct {
	conn       *moved
	generation uint32
}

func newLoop() (*loop, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		_ = unix.Close(epoll)
		return nil, os.NewSyscallError("eventfd", err)
	}
	lp := &loop{
		epoll: epoll, wake: wake, waker: os.NewFile(uintptr(wake), "eventfd"),
		in: make([]byte, readSize), plain: make([]byte, recordSize+2048),
		events: make([]unix.EpollEvent, eventsAtOnce), done: make(chan struct{}),
	}
	err = unix.SetNonblock(wake, true) // after os.File took it, so that Go's poller does not
	if err == nil {
		err = unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, wake, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: wakeSlot})
	}
	if err == nil {
		// An epoll descriptor can be waited for like any other, so the loop parks in
		// Go's poller and keeps no thread.
		err = unix.SetNonblock(epoll, true)
	}
	if err == nil {
		lp.file = os.NewFile(uintptr(epoll), "epoll")
		lp.raw, err = lp.file.SyscallConn()
	}
	if err == nil {
		err = lp.file.SetReadDeadline(time.Time{}) // fails when the poller did not take it
	}
	if err != nil {
		if lp.file != nil {
			_ = lp.file.Close()
		} else {
			_ = unix.Close(epoll)
		}
		_ = lp.waker.Close()
		return nil, err
	}
	lp.waitFn = lp.poll
	return lp, nil
}

// loops are the event loops of one listener; connections are spread over them.
type loops struct {
	all  []*loop
	next atomic.Uint32

	mu      sync.Mutex
	started bool
	closed  bool
}

// start makes the loops serve, and tell turns, which may be nil, of each turn.
func (ls *loops) start(turns transport.Turns) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.started || ls.closed {
		return
	}
	ls.started = true
	for i, lp := range ls.all {
		lp.number, lp.turns = i, turns
		go lp.serve()
	}
}

// pick returns the loop for the next connection.
func (ls *loops) pick() int { return int(ls.next.Add(1) % uint32(len(ls.all))) }

// newLoops makes one loop for each two cores: a loop reads and decrypts, while
// replies are encrypted and written by those who queue them, on the other cores.
// With a loop a core, twice as many goroutines wake for half as much each; on two
// cores that cost a tenth more CPU (docs/performance.md).
func newLoops() (*loops, error) {
	ls := &loops{}
	for range max(1, runtime.GOMAXPROCS(0)/2) {
		lp, err := newLoop()
		if err != nil {
			ls.close()
			return nil, err
		}
		ls.all = append(ls.all, lp)
	}
	return ls, nil
}

// close ends the loops and returns when their goroutines have; no connection is
// left by then.
func (ls *loops) close() {
	if ls == nil {
		return
	}
	ls.mu.Lock()
	ls.closed = true
	started := ls.started
	ls.mu.Unlock()
	for _, lp := range ls.all {
		lp.mu.Lock()
		lp.closed = true
		lp.mu.Unlock()
		if started {
			lp.rouse()
			<-lp.done
			continue
		}
		_ = lp.file.Close()
		_ = lp.waker.Close()
	}
}

// poll asks epoll without waiting; false makes the caller park until there is
// something.
func (lp *loop) poll(uintptr) bool {
	for {
		n, err := rawPoll(lp.epoll, lp.events)
		if err == unix.EINTR {
			continue
		}
		lp.ready, lp.waitErr = max(n, 0), err
		return n != 0
	}
}

func (lp *loop) serve() {
	defer close(lp.done)
	for {
		// In this order: who adds to run after it was looked at sets the eventfd.
		lp.awake.Store(false)
		if !lp.pending() {
			if err := lp.raw.Read(lp.waitFn); err != nil || lp.waitErr != nil {
				panic(errors.Join(errors.New("tcp: the event loop cannot wait"), err, lp.waitErr))
			}
		} else {
			lp.poll(0)
		}
		lp.awake.Store(true)
		granted := lp.turns != nil && lp.turns.BeginTurn(lp.number)
		now := time.Now()
		for i := range lp.ready {
			lp.dispatch(&lp.events[i], now)
		}
		closed := lp.attend(now)
		lp.recycle()
		if granted {
			lp.turns.EndTurn(lp.number)
		}
		if closed {
			break
		}
	}
	_ = lp.file.Close()
	_ = lp.waker.Close()
}

func (lp *loop) pending() bool {
	lp.mu.Lock()
	defer lp.mu.Unlock()
	return len(lp.run) > 0 || lp.closed
}

func (lp *loop) dispatch(e *unix.EpollEvent, now time.Time) {
	if e.Fd == wakeSlot {
		var b [8]byte
		_, _ = direct.Read(lp.wake, b[:])
		return
	}
	lp.mu.Lock()
	s := lp.slots[e.Fd]
	lp.mu.Unlock()
	if s.conn == nil || s.generation != uint32(e.Pad) {
		return
	}
	if e.Events&unix.EPOLLOUT != 0 {
		s.conn.writable()
	}
	if e.Events&^unix.EPOLLOUT != 0 {
		s.conn.readable(now)
	}
}

// attend serves the run list; true: the loop was closed.
func (lp *loop) attend(now time.Time) (closed bool) {
	lp.mu.Lock()
	lp.turn, lp.run = lp.run, lp.turn[:0]
	closed = lp.closed
	lp.mu.Unlock()
	for i, m := range lp.turn {
		m.listed.Store(false)
		m.attend(now)
		lp.turn[i] = nil
	}
	return closed
}

// recycle frees the slots of connections that ended: after the turn, so that an
// event already fetched cannot meet a new connection in the old one's slot.
func (lp *loop) recycle() {
	if len(lp.retired) == 0 {
		return
	}
	lp.mu.Lock()
	lp.free = append(lp.free, lp.retired...)
	lp.mu.Unlock()
	lp.retired = lp.retired[:0]
}

// schedule puts m on the run list. Any goroutine.
func (lp *loop) schedule(m *moved) {
	if m.listed.Swap(true) {
		return
	}
	lp.mu.Lock()
	lp.run = append(lp.run, m)
	lp.mu.Unlock()
	lp.rouse()
}

// one is what an eventfd takes, in the machine's byte order.
var one = func() (b [8]byte) {
	binary.NativeEndian.PutUint64(b[:], 1)
	return b
}()

// rouse makes the loop look at its run list.
func (lp *loop) rouse() {
	if !lp.awake.Swap(true) {
		_, _ = lp.waker.Write(one[:])
	}
}

// enter gives m a slot.
func (lp *loop) enter(m *moved) {
	lp.mu.Lock()
	defer lp.mu.Unlock()
	if n := len(lp.free); n > 0 {
		m.slot = lp.free[n-1]
		lp.free = lp.free[:n-1]
	} else {
		m.slot = uint32(len(lp.slots))
		lp.slots = append(lp.slots, slot{})
	}
	s := &lp.slots[m.slot]
	s.generation++
	s.conn = m
	m.generation = s.generation
}

// leave takes m out; its slot is free after the turn. By the loop.
func (lp *loop) leave(m *moved) {
	lp.mu.Lock()
	lp.slots[m.slot].conn = nil
	lp.mu.Unlock()
	lp.retired = append(lp.retired, m.slot)
}
