//go:build unix

// Package process runs the programs of a demonstration or a test beside each other.
//
// It owns child processes: their output, line by line, and their end. It never starts
// a shell, and never leaves a child behind that it started, unless it is killed.
//
//  1. [Start] starts a program in a process group of its own, so that ctrl-C in the
//     terminal reaches the parent alone, who ends its children in order.
//  2. Each line goes to Spec.Out behind the program's name, and those that a program
//     tells something with (an address, a result) are kept: [Process.Await].
//  3. [Process.Stop] sends SIGTERM, and SIGKILL when that takes too long.
package process

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"sync"
	"syscall"
	"time"
)

// Spec says what to run.
type Spec struct {
	Name string // for Out and errors
	Path string
	Args []string
	Env  []string // besides that of this process
	// Out receives whole lines; nil discards them. Several processes may share one
	// that is safe for concurrent use.
	Out io.Writer
	// Keep are the lines that Await and Last can find.
	Keep []*regexp.Regexp
}

// Process is a running program, or one that has ended.
type Process struct {
	spec Spec
	cmd  *exec.Cmd
	done chan struct{}
	err  error // before done: not to be read

	mu    sync.Mutex
	kept  map[*regexp.Regexp][]string // the last match
	grown chan struct{}               // closed and replaced when kept changes
}

// waitDelay is how long the output of a program that has ended may stay open, by
// children of its own.
const waitDelay = time.Second

// Start starts a program.
func Start(s Spec) (*Process, error) {
	p := &Process{
		spec: s, cmd: exec.Command(s.Path, s.Args...), done: make(chan struct{}),
		kept: make(map[*regexp.Regexp][]string), grown: make(chan struct{}),
	}
	in, out := io.Pipe()
	p.cmd.Env = append(os.Environ(), s.Env...)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.WaitDelay = waitDelay
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", s.Name, err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		p.read(in)
	}()
	go func() {
		err := p.cmd.Wait()
		_ = out.Close()
		<-read
		if err != nil {
			p.err = fmt.Errorf("%s: %w", s.Name, err)
		}
		close(p.done)
	}()
	return p, nil
}

// read takes the program's lines until the end of its output.
func (p *Process) read(in io.Reader) {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		line := lines.Text()
		if p.spec.Out != nil {
			_, _ = fmt.Fprintf(p.spec.Out, "%-8s| %s\n", p.spec.Name, line)
		}
		p.keep(line)
	}
	_, _ = io.Copy(io.Discard, in) // after a line that is too long
}

func (p *Process) keep(line string) {
	for _, re := range p.spec.Keep {
		match := re.FindStringSubmatch(line)
		if match == nil {
			continue
		}
		p.mu.Lock()
		p.kept[re] = match
		close(p.grown)
		p.grown = make(chan struct{})
		p.mu.Unlock()
	}
}

// Last is the last line that matched re, which is one of Spec.Keep, with its
// submatches; nil if there was none. After Done it is the very last.
func (p *Process) Last(re *regexp.Regexp) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.kept[re]
}

// Await is Last, and waits for the first match. The error is that of ctx, or says
// that the program has ended without.
func (p *Process) Await(ctx context.Context, re *regexp.Regexp) ([]string, error) {
	for {
		p.mu.Lock()
		match, grown := p.kept[re], p.grown
		p.mu.Unlock()
		if match != nil {
			return match, nil
		}
		select {
		case <-grown:
		case <-p.done:
			if match = p.Last(re); match != nil {
				return match, nil
			}
			return nil, fmt.Errorf("%s ended without a line that matches %q: %w", p.spec.Name, re, errors.Join(errEnded, p.err))
		case <-ctx.Done():
			return nil, fmt.Errorf("%s printed no line that matches %q: %w", p.spec.Name, re, context.Cause(ctx))
		}
	}
}

var errEnded = errors.New("the program has ended")

// Done is closed when the program has ended and all of its output was read.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err is how the program ended: nil for exit status 0. It waits for Done.
func (p *Process) Err() error {
	<-p.done
	return p.err
}

// Stop ends the program with SIGTERM, with SIGKILL when ctx is done before it has
// ended, and returns Err. Idempotent.
func (p *Process) Stop(ctx context.Context) error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.done:
	case <-ctx.Done():
		_ = p.cmd.Process.Kill()
	}
	return p.Err()
}

// AwaitReady asks url until it answers 200, p ends, or ctx is done.
func (p *Process) AwaitReady(ctx context.Context, url string) error {
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	var why error
	for {
		err := ready(ctx, url)
		if err == nil {
			return nil
		}
		if why == nil || ctx.Err() == nil {
			why = err // not that ctx cut the last question off
		}
		select {
		case <-again.C:
		case <-p.done:
			return fmt.Errorf("%s was never ready: %w", p.spec.Name, errors.Join(errEnded, p.err))
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w (%w)", p.spec.Name, why, context.Cause(ctx))
		}
	}
}

// ready returns nil for an answer 200.
func ready(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	r.Close = true
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	why, _ := io.ReadAll(io.LimitReader(answer.Body, 512))
	return fmt.Errorf("%s: %s", answer.Status, why)
}
