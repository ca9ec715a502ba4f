package grid

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"strait/compare/lab"
)

// process is a child in a lab.
type process struct {
	role    role
	process *lab.Process
	in      io.Writer // its input
	replies lines
	errors  tail
}

// start starts a child and tells it o.
func (c *cell) start(side lab.Side, o order) (*process, error) {
	p := &process{role: o.Role, replies: lines{whole: make(chan []byte, maxReplies)}}
	cmd := c.config.Program()
	cmd.Stdout, cmd.Stderr = &p.replies, &p.errors
	in, err := cmd.StdinPipe()
	if err == nil {
		p.in = in
		p.process, err = c.lab.Start(side, cmd)
	}
	if err != nil {
		return nil, fmt.Errorf("the %s cannot be started: %w", o.Role, err)
	}
	return p, p.tell(o)
}

// tell says something to a child. One that does not listen has ended, or is ended.
func (p *process) tell(v any) error {
	if json.NewEncoder(p.in).Encode(v) != nil {
		_ = p.process.Stop() // died tells
		return p.died()
	}
	return nil
}

// next returns the child's next reply. A child that ends without one is an error.
func (p *process) next(ctx context.Context) (r reply, err error) {
	var line []byte
	select {
	case line = <-p.replies.whole:
	case <-p.process.Done():
		select {
		case line = <-p.replies.whole: // its last words
		default:
			return reply{}, p.died()
		}
	case <-ctx.Done():
		return reply{}, context.Cause(ctx)
	}
	if err := json.Unmarshal(line, &r); err != nil {
		return reply{}, fmt.Errorf("the %s said something else than asked: %w", p.role, err)
	}
	return r, nil
}

// died is why a child has ended too early.
func (p *process) died() error {
	err := p.process.Wait(context.Background())
	how := "without a word"
	if err != nil {
		how = err.Error()
	}
	if last := strings.TrimSpace(p.errors.String()); last != "" {
		how += ": " + last
	}
	return fmt.Errorf("the %s ended during the run: %s", p.role, how)
}

// maxReplies is more than a child says.
const maxReplies = 4

// lines takes output apart. It has one writer.
type lines struct {
	partial []byte
	whole   chan []byte
}

func (l *lines) Write(b []byte) (int, error) {
	n := len(b)
	for {
		line, rest, ok := bytes.Cut(b, []byte("\n"))
		l.partial = append(l.partial, line...)
		if !ok {
			return n, nil
		}
		select {
		case l.whole <- l.partial:
		default:
			return 0, fmt.Errorf("more than %d replies", maxReplies)
		}
		l.partial, b = nil, rest
	}
}

// tailBytes is how much of a child's errors is kept.
const tailBytes = 2000

// tail keeps the end of what is written. To be read when the writer has ended.
type tail struct{ b []byte }

func (t *tail) Write(b []byte) (int, error) {
	t.b = append(t.b, b...)
	t.b = t.b[max(0, len(t.b)-tailBytes):]
	return len(b), nil
}

func (t *tail) String() string { return string(t.b) }
