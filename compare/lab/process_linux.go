package lab

import (
	"context"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// grace is how long Stop waits between asking and killing.
const grace = 2 * time.Second

// outputDelay is how long the output of a program that has ended may stay open, by
// children of its own.
const outputDelay = time.Second

// Process is a program that runs on one side, or has ended.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // not to be read before done

	mu    sync.Mutex
	ended bool // its number may be another's from now on
}

// start starts cmd in the namespace of the calling thread, which must outlive it: the
// kernel kills the program when the thread ends.
func start(cmd *exec.Cmd) (*Process, error) {
	attr := syscall.SysProcAttr{}
	if cmd.SysProcAttr != nil {
		attr = *cmd.SysProcAttr
	}
	// The head of a group, so that ctrl-C in a terminal reaches this process alone.
	attr.Setpgid, attr.Pgid, attr.Pdeathsig = true, 0, syscall.SIGKILL
	cmd.SysProcAttr = &attr
	if cmd.WaitDelay == 0 {
		cmd.WaitDelay = outputDelay
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &Process{cmd: cmd, done: make(chan struct{})}
	go p.wait()
	return p, nil
}

// wait ends the group with its head. Until the head is reaped nobody else gets its
// number, so it is the group that is killed.
func (p *Process) wait() {
	for {
		err := unix.Waitid(unix.P_PID, p.PID(), nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			break
		}
	}
	p.mu.Lock()
	p.ended = true
	_ = syscall.Kill(-p.PID(), syscall.SIGKILL)
	p.mu.Unlock()
	p.err = p.cmd.Wait()
	close(p.done)
}

// signal sends to the group while it has its number.
func (p *Process) signal(sig syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		_ = syscall.Kill(-p.PID(), sig)
	}
}

// PID returns the program's number, which is its process group's.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the program has ended and its output is read.
func (p *Process) Done() <-chan struct{} { return p.done }

// Wait returns how the program ended, as [exec.Cmd.Wait] does, or why ctx did.
func (p *Process) Wait(ctx context.Context) error {
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Signal sends a signal to the program alone; [os.ErrProcessDone] if it has ended.
func (p *Process) Signal(sig os.Signal) error { return p.cmd.Process.Signal(sig) }

// Stop asks the program and its group to end, kills them if it has not after two
// seconds, and returns when it has ended, how it ended. Idempotent.
func (p *Process) Stop() error {
	p.signal(syscall.SIGTERM)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		p.signal(syscall.SIGKILL)
		<-p.done
	}
	return p.err
}
