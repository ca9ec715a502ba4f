//go:build linux

package stack

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// process is a child in a process group of its own.
type process struct {
	name  string
	cmd   *exec.Cmd
	log   string // the file with its output
	input io.Closer
	ended chan struct{} // closed when it ended
	err   error         // how, once ended is closed
}

// start runs cmd. Its standard error, and standard output unless cmd has one, go
// to the file log; its input stays open until it is stopped.
func start(name string, cmd *exec.Cmd, log string) (*process, error) {
	f, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer f.Close() // the child has its own
	cmd.Stderr = f
	if cmd.Stdout == nil {
		cmd.Stdout = f
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	// Nothing is left behind also where the harness is killed.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	p := &process{name: name, cmd: cmd, log: log, input: in, ended: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// died returns an error with the end of the log if the process has ended.
func (p *process) died() error {
	select {
	case <-p.ended:
		return p.explain(errors.New("ended by itself"))
	default:
		return nil
	}
}

// tail is how much of a log an error shows.
const tail = 2000

// explain adds to err how the process ended, if it has, and the end of its log.
func (p *process) explain(err error) error {
	select {
	case <-p.ended:
		if p.err != nil {
			err = fmt.Errorf("%w (%w)", err, p.err)
		}
	default:
	}
	text, readErr := os.ReadFile(p.log)
	if readErr != nil {
		text = []byte(readErr.Error())
	}
	if len(text) > tail {
		text = text[len(text)-tail:]
	}
	return fmt.Errorf("%s: %w; its log ends:\n%s", p.name, err, text)
}

// stopping is how long a process may take to end before it is killed.
const stopping = 3 * time.Second

// stop asks the process to end by closing its input and by a signal, waits, and
// then kills what is left of its group: a worker may outlive the process that
// started it.
func (p *process) stop() error {
	err := p.input.Close()
	if errors.Is(err, os.ErrClosed) {
		err = nil
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it fails only if it has ended
	timer := time.NewTimer(stopping)
	defer timer.Stop()
	select {
	case <-p.ended:
	case <-timer.C:
	}
	if kill := syscall.Kill(-p.pid(), syscall.SIGKILL); kill != nil && !errors.Is(kill, syscall.ESRCH) {
		err = errors.Join(err, fmt.Errorf("killing %s: %w", p.name, kill))
	}
	<-p.ended
	return err
}
