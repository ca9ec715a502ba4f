package lab

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"strait/compare/link"
)

// Lab is two namespaces and the link between them. Safe for concurrent use.
type Lab struct {
	// static
	log        *slog.Logger
	namespaces [2]*namespace // by Side; nil on loopback
	threads    [2]*thread    // by Side: the namespaces', or plain ones
	wire       *wire         // nil on loopback

	moving sync.Mutex // held by a change of addresses and by Impair, one after the other

	// guarded by mu
	mu        sync.Mutex
	stopWatch func() bool // of the context
	closed    bool
	using     sync.WaitGroup // calls into the namespaces; only added to while not closed
	addrs     [2]Addrs       // by Side
	processes []*Process
	timers    []*time.Timer
	period    int // of Impair: what belongs to an earlier one does nothing
	handovers []Handover
	moves     int // addresses that the client has had before

	closing  sync.Once
	closeErr error
}

// New makes a lab. It closes itself when ctx ends. Where it lacks privileges the error
// is an [*AccessError].
func New(ctx context.Context, c Config) (*Lab, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	l := &Lab{log: c.Log}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	l.stopWatch = func() bool { return true }
	if c.Loopback {
		here := Addrs{V4: netip.AddrFrom4([4]byte{127, 0, 0, 1})}
		if _, err := os.Stat("/proc/sys/net/ipv6"); err == nil {
			here.V6 = netip.IPv6Loopback()
		}
		l.addrs = [2]Addrs{here, here}
		for side := range l.threads {
			t, err := newThread(nil, nil)
			if err != nil {
				return nil, errors.Join(err, l.Close())
			}
			l.threads[side] = t
		}
	} else if err := l.build(c); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	l.mu.Lock() // the context may have ended by now
	defer l.mu.Unlock()
	l.stopWatch = context.AfterFunc(ctx, func() { _ = l.Close() })
	return l, nil
}

func (l *Lab) build(c Config) error {
	mtu := c.MTU
	if mtu == 0 {
		mtu = DefaultMTU
	}
	for _, side := range []Side{Client, Gateway} {
		n, err := newNamespace(mtu)
		if err != nil {
			return err
		}
		l.namespaces[side], l.threads[side] = n, n.thread
		l.addrs[side] = addrsOf(side, 0, n.ipv6)
		err = n.do(func() error {
			return errors.Join(n.address(l.addrs[side]), n.route(l.addrs[side], c.CongestionControl))
		})
		if err != nil {
			return fmt.Errorf("the %v's namespace: %w", side, err)
		}
	}
	first, err := link.New(c.Link)
	if err != nil {
		return err
	}
	w, err := newWire(l.namespaces[Client].tun, l.namespaces[Gateway].tun, mtu)
	if err != nil {
		return err
	}
	l.wire = w
	l.wire.start(&run{link: first})
	return l.Impair(c.Link)
}

// Addrs returns the addresses that a side has now.
func (l *Lab) Addrs(side Side) Addrs {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.addrs[side]
}

// enter lets one call use the namespaces, which Close waits for; false after Close.
func (l *Lab) enter() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.using.Add(1)
	return true
}

var errClosed = fmt.Errorf("the lab is closed: %w", net.ErrClosed)

// Do runs f on a thread in the namespace of a side and returns its error. Sockets that
// f itself opens belong there for good; what it starts on other goroutines runs
// outside. f keeps others from starting processes and must not call the lab.
func (l *Lab) Do(side Side, f func() error) error {
	if !l.enter() {
		return errClosed
	}
	defer l.using.Done()
	return l.threads[side].do(f)
}

// Start starts cmd on a side. The program is the head of a process group of its own:
// when it ends, the group is killed, and when this process ends, the program is; cmd, which must not have been started, belongs to the lab
// from now on, except for what it is given to read and write.
func (l *Lab) Start(side Side, cmd *exec.Cmd) (*Process, error) {
	var p *Process
	if !l.enter() {
		return nil, errClosed
	}
	defer l.using.Done()
	err := l.threads[side].do(func() (err error) {
		p, err = start(cmd)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("on the %v's side: %w", side, err)
	}
	l.mu.Lock()
	l.processes = append(slices.DeleteFunc(l.processes, func(p *Process) bool {
		select {
		case <-p.done:
			return true
		default:
			return false
		}
	}), p)
	l.mu.Unlock()
	return p, nil
}

// Impair puts c into force for the packets that are sent from now on; those under way
// arrive as decided. The link's time, packet numbers and Stats begin anew. The client
// keeps the address that it has.
func (l *Lab) Impair(c link.Config) error {
	if l.wire == nil && !unimpaired(c) {
		return errNoLink
	}
	next, err := link.New(c)
	if err != nil {
		return err
	}
	if !l.enter() {
		return errClosed
	}
	defer l.using.Done()
	if l.wire == nil {
		return nil
	}
	l.moving.Lock()
	defer l.moving.Unlock()
	r := &run{link: next}
	if r.cpu, r.missed, err = l.spent(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, t := range l.timers {
		t.Stop()
	}
	l.timers, l.handovers = nil, nil
	l.period++
	period := l.period
	r.start = l.wire.now()
	l.wire.run.Store(r)
	for _, at := range c.AddressChanges {
		l.timers = append(l.timers, time.AfterFunc(at, func() {
			if err := l.move(period, at); err != nil && !errors.Is(err, net.ErrClosed) {
				l.log.Error("the client's address did not change", "due", at, "error", err)
			}
		}))
	}
	return nil
}

// spent returns what the link's thread has used, and what the devices have dropped.
// The lab must be entered.
func (l *Lab) spent() (cpu time.Duration, missed uint64, err error) {
	for _, n := range l.namespaces {
		err := n.do(func() error {
			m, err := n.missed()
			missed += m
			return err
		})
		if err != nil {
			return 0, 0, err
		}
	}
	cpu, err = l.wire.cpu()
	return cpu, missed, err
}

// Stats returns what the link has done since Impair. After Close, and when the link
// has failed, it returns an error.
func (l *Lab) Stats() (Stats, error) {
	if !l.enter() {
		return Stats{}, errClosed
	}
	defer l.using.Done()
	if l.wire == nil {
		return Stats{}, nil
	}
	select {
	case <-l.wire.done:
		return Stats{}, fmt.Errorf("the link has ended: %w", l.wire.err)
	default:
	}
	cpu, missed, err := l.spent()
	if err != nil {
		return Stats{}, err
	}
	r := l.wire.run.Load()
	return Stats{
		For: l.wire.now() - r.start, Up: r.link.Up.Counters(), Down: r.link.Down.Counters(), Late: r.late.snapshot(),
		CPU: max(0, cpu-r.cpu), Missed: missed - min(missed, r.missed),
		Ignored: r.ignored.Load(), Overflow: r.overflow.Load(), Refused: r.refused.Load(),
		Realtime: l.wire.realtime,
	}, nil
}

// Close ends the programs (SIGTERM, and SIGKILL after two seconds) and the link, kills
// what is left in the namespaces, and leaves them; the kernel then takes them and their
// devices down on its own account. Idempotent.
func (l *Lab) Close() error {
	l.closing.Do(func() { l.closeErr = l.close() })
	return l.closeErr
}

func (l *Lab) close() error {
	l.mu.Lock()
	l.stopWatch()
	l.closed = true
	for _, t := range l.timers {
		t.Stop()
	}
	l.mu.Unlock()
	l.using.Wait()

	var stops sync.WaitGroup
	for _, p := range l.processes {
		stops.Go(func() { _ = p.Stop() })
	}
	stops.Wait()
	var err error
	if l.wire != nil {
		err = l.wire.end()
	}
	var idents []string
	for _, n := range l.namespaces {
		if n != nil {
			idents = append(idents, n.ident)
		}
	}
	for _, t := range l.threads {
		if t != nil {
			t.end()
		}
	}
	sweep(idents)
	return err
}

// sweep kills what programs have left behind in the namespaces, in process groups of
// their own: it would keep the namespaces.
func sweep(idents []string) {
	if len(idents) == 0 {
		return
	}
	inside, _ := filepath.Glob("/proc/[0-9]*/ns/net")
	for _, path := range inside {
		ident, err := os.Readlink(path)
		if err != nil || !slices.Contains(idents, ident) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
		if err == nil && pid != os.Getpid() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}
