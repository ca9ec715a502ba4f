package lab

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"strait/compare/link"
	"strait/internal/direct"
)

const (
	// turnPackets is how many packets are read from one device before those that are
	// due are looked at again.
	turnPackets = 32
	// maxFlight bounds the packets under way: 600 ms at 1 Gbit/s and full size.
	maxFlight = 50_000
	// stopData stands in epoll's data for the eventfd, timerData for the timer; a
	// Side stands for its device.
	stopData  = 2
	timerData = 3
)

// wire moves packets between two TUN devices, on a thread of its own, which waits for
// packets and for the next one that is due, with a timer of the kernel's
// high-resolution clock: unlike a time limit of epoll_wait it is not rounded to
// milliseconds, nor subject to the thread's timer slack.
type wire struct {
	// static once started
	tuns     [2]int // by Side
	mtu      int
	base     time.Time
	epoll    int
	timer    int
	stop     int
	thread   int
	realtime bool
	done     chan struct{}

	run atomic.Pointer[run] // in force; replaced by Impair

	// owned by the thread
	flight link.Flight[cargo]
	free   [][]byte
	armed  time.Duration // what the timer is set to, since base; 0: not set
	err    error         // why the thread ended; not to be read before done
}

// cargo is a packet under way.
type cargo struct {
	buffer []byte // its length is the packet's
	copies int
	to     Side
}

// run is one period between two calls of Impair.
type run struct {
	link  *link.Link
	start time.Duration // since wire.base
	late  lateness

	ignored, overflow, refused atomic.Uint64

	// baselines
	cpu    time.Duration
	missed uint64
}

func newWire(client, gateway, mtu int) (*wire, error) {
	w := &wire{tuns: [2]int{Client: client, Gateway: gateway}, mtu: mtu, base: time.Now(), epoll: -1, timer: -1, stop: -1, done: make(chan struct{})}
	err := w.open()
	if err != nil {
		w.release()
		return nil, err
	}
	return w, nil
}

func (w *wire) open() (err error) {
	if w.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	if w.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK); err != nil {
		return os.NewSyscallError("timerfd_create", err)
	}
	if w.stop, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return os.NewSyscallError("eventfd", err)
	}
	for _, in := range []struct {
		fd, data int
		events   uint32
	}{
		{w.tuns[Client], int(Client), unix.EPOLLIN},
		{w.tuns[Gateway], int(Gateway), unix.EPOLLIN},
		{w.stop, stopData, unix.EPOLLIN},
		// Edge-triggered, so that an expiry need not be read away.
		{w.timer, timerData, unix.EPOLLIN | unix.EPOLLET},
	} {
		if err := unix.EpollCtl(w.epoll, unix.EPOLL_CTL_ADD, in.fd, &unix.EpollEvent{Events: in.events, Fd: int32(in.data)}); err != nil {
			return os.NewSyscallError("epoll_ctl", err)
		}
	}
	return nil
}

// start runs the thread; r is in force.
func (w *wire) start(r *run) {
	w.run.Store(r)
	ready := make(chan struct{})
	go func() {
		defer close(w.done)
		runtime.LockOSThread()
		w.thread = unix.Gettid()
		w.realtime = preferred(true) == nil
		close(ready)
		w.err = w.serve()
		w.release()
		// A thread that stays preferred ends with this goroutine, still locked.
		if !w.realtime || preferred(false) == nil {
			runtime.UnlockOSThread()
		}
	}()
	<-ready
}

// end stops the thread and waits for it; why it had ended before, if it had.
func (w *wire) end() error {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	select {
	case <-w.done:
	default:
		_, _ = unix.Write(w.stop, one[:])
	}
	<-w.done
	return w.err
}

func (w *wire) release() {
	for _, fd := range []int{w.epoll, w.timer, w.stop} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

// preferred puts the calling thread before all ordinary ones, or back among them. A
// wire does not wait for the programs at its ends to leave it a CPU. What the thread
// would start is ordinary again.
func preferred(yes bool) error {
	attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL}
	if yes {
		attr.Policy, attr.Priority, attr.Flags = unix.SCHED_RR, 1, unix.SCHED_FLAG_RESET_ON_FORK
	}
	return os.NewSyscallError("sched_setattr", unix.SchedSetAttr(0, &attr, 0))
}

func (w *wire) now() time.Duration { return time.Since(w.base) }

// cpu returns what the thread has used. It must be alive.
func (w *wire) cpu() (time.Duration, error) {
	// The clock of another thread of this process: the kernel's CPUCLOCK_PERTHREAD and
	// CPUCLOCK_SCHED (linux/posix-timers.h), as pthread_getcpuclockid composes it.
	clock := int32(^w.thread<<3 | 4 | 2)
	var t unix.Timespec
	if err := unix.ClockGettime(clock, &t); err != nil {
		return 0, os.NewSyscallError("clock_gettime", err)
	}
	return time.Duration(t.Nano()), nil
}

func (w *wire) serve() error {
	events := make([]unix.EpollEvent, 4)
	var ready [2]bool
	for {
		w.deliver()
		if !ready[Client] && !ready[Gateway] {
			if err := w.arm(); err != nil {
				return err
			}
			n, err := unix.EpollWait(w.epoll, events, -1)
			if err == unix.EINTR {
				continue
			}
			if err != nil {
				return os.NewSyscallError("epoll_wait", err)
			}
			for _, e := range events[:n] {
				switch e.Fd {
				case stopData:
					return nil
				case timerData:
					w.armed = 0
				default:
					ready[e.Fd] = true
				}
			}
			w.deliver()
		}
		for _, side := range []Side{Client, Gateway} {
			if !ready[side] {
				continue
			}
			more, err := w.take(side)
			if err != nil {
				return fmt.Errorf("the %v's TUN device: %w", side, err)
			}
			ready[side] = more
		}
	}
}

// arm sets the timer to the next packet that is due.
func (w *wire) arm() error {
	at, ok := w.flight.Next()
	if !ok || at == w.armed {
		return nil
	}
	w.armed = at
	wait := max(at-w.now(), 1) // 0 would turn the timer off
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(wait))}
	return os.NewSyscallError("timerfd_settime", unix.TimerfdSettime(w.timer, 0, &spec, nil))
}

// take reads a turn's packets from one side; more: there may be others.
func (w *wire) take(from Side) (more bool, err error) {
	r := w.run.Load()
	direction, to := r.link.Up, Gateway
	if from == Gateway {
		direction, to = r.link.Down, Client
	}
	for range turnPackets {
		b := w.buffer()
		n, err := direct.Read(w.tuns[from], b)
		if err != nil {
			w.free = append(w.free, b)
			switch err {
			case unix.EAGAIN:
				return false, nil
			case unix.EINTR:
				continue
			}
			return false, os.NewSyscallError("read", err)
		}
		b = b[:n]
		p, ok := link.Parse(b)
		if !ok {
			r.ignored.Add(1)
			w.free = append(w.free, b)
			continue
		}
		fate := direction.Offer(w.now()-r.start, p)
		switch {
		case fate.Copies == 0:
			w.free = append(w.free, b)
		case w.flight.Len() == maxFlight:
			r.overflow.Add(1)
			w.free = append(w.free, b)
		default:
			w.flight.Push(r.start+fate.At, cargo{buffer: b, copies: fate.Copies, to: to})
		}
	}
	return true, nil
}

// deliver writes what is due.
func (w *wire) deliver() {
	at, ok := w.flight.Next()
	if !ok {
		return
	}
	r, now := w.run.Load(), w.now()
	for ; ok && at <= now; at, ok = w.flight.Next() {
		_, c := w.flight.Pop()
		for range c.copies {
			r.late.add(now - at)
			if _, err := direct.Write(w.tuns[c.to], c.buffer); err != nil {
				r.refused.Add(1)
			}
			now = w.now()
		}
		w.free = append(w.free, c.buffer)
	}
}

func (w *wire) buffer() []byte {
	if n := len(w.free); n > 0 {
		b := w.free[n-1]
		w.free = w.free[:n-1]
		return b[:w.mtu]
	}
	return make([]byte, w.mtu)
}
