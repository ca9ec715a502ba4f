package grid

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"time"

	"strait/compare/game"
	"strait/compare/grid/contender"
	"strait/compare/measure"
)

// role is what a child does.
type role string

const (
	serving   role = "server"
	playing   role = "player"
	sinking   role = "sink"
	uploading role = "upload"
)

// order is what a child is told first. A server is then told the Window.
type order struct {
	Role      role               `json:"role"`
	Transport string             `json:"transport,omitempty"`
	At        netip.AddrPort     `json:"at"` // where to serve
	Endpoint  contender.Endpoint `json:"endpoint"`
	Workload  game.Workload      `json:"workload"`
	Players   int                `json:"players,omitempty"`
	Window    measure.Window     `json:"window"`
	Settle    time.Duration      `json:"settle_ns,omitempty"`
}

// reply is a line that a child writes: a server and a sink where they can be reached,
// a server and a player what came of it.
type reply struct {
	Endpoint *contender.Endpoint `json:"endpoint,omitempty"`
	Result   *result             `json:"result,omitempty"`
}

// result is what an end has logged.
type result struct {
	Logs []measure.PlayerLog `json:"logs"`
	Late *measure.Histogram  `json:"late,omitempty"` // of the server
	CPU  *float64            `json:"cpu_seconds,omitempty"`
	Peak *uint64             `json:"peak_bytes,omitempty"`
}

// Child does what the process that started this one says on in, and writes what came of
// it to out, which nothing else may use. It returns when that is done or ctx ends.
func Child(ctx context.Context, in io.Reader, out io.Writer) error {
	orders, replies := json.NewDecoder(in), json.NewEncoder(out)
	var o order
	if err := orders.Decode(&o); err != nil {
		return fmt.Errorf("no order on the standard input: this is for strait compare alone: %w", err)
	}
	switch o.Role {
	case serving:
		return serve(ctx, o, orders, replies)
	case playing:
		return play(ctx, o, replies)
	case sinking:
		return sink(ctx, o, replies)
	case uploading:
		return upload(ctx, o)
	}
	return fmt.Errorf("there is no role %q", o.Role)
}

func serve(ctx context.Context, o order, orders *json.Decoder, replies *json.Encoder) (err error) {
	c, err := contender.Lookup(o.Transport)
	if err != nil {
		return err
	}
	clock := game.NewClock()
	logic, err := game.NewLogic(o.Workload, clock, o.Players)
	if err != nil {
		return err
	}
	s, err := c.Serve(ctx, o.At, logic)
	if err != nil {
		return err
	}
	var once sync.Once
	stop := func() { once.Do(func() { err = errors.Join(err, s.Close()) }) }
	defer stop()
	e := s.Endpoint()
	if err := replies.Encode(reply{Endpoint: &e}); err != nil {
		return err
	}
	if err := orders.Decode(&o.Window); err != nil {
		return fmt.Errorf("no window: %w", err)
	}
	m := startMeter(ctx, clock, o.Window)
	logic.Run(ctx, o.Window.To)
	select {
	case <-time.After(time.Duration(o.Window.To-clock.Now()) + o.Settle):
	case err := <-s.Failed():
		return fmt.Errorf("a listener stopped: %w", err)
	case <-ctx.Done():
		return ctx.Err()
	}
	stop()
	if err != nil {
		return err
	}
	var r result
	r.Logs, r.Late = logic.Logs()
	r.CPU, r.Peak = m.read()
	return replies.Encode(reply{Result: &r})
}

func play(ctx context.Context, o order, replies *json.Encoder) error {
	c, err := contender.Lookup(o.Transport)
	if err != nil {
		return err
	}
	clock := game.NewClock()
	m := startMeter(ctx, clock, o.Window)
	r := result{Logs: make([]measure.PlayerLog, o.Players)}
	dial := c.Dial(o.Endpoint)
	var players sync.WaitGroup
	for i := range r.Logs {
		players.Go(func() {
			// Spread over a frame, so that they do not all send at one moment.
			time.Sleep(time.Second / 60 * time.Duration(i) / time.Duration(o.Players))
			p := game.Player{Number: uint32(i), Workload: o.Workload, Clock: clock, Dial: dial, Drain: o.Settle}
			r.Logs[i] = p.Play(ctx, o.Window.To)
		})
	}
	players.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	r.CPU, r.Peak = m.read()
	return replies.Encode(reply{Result: &r})
}

// meter reads the process's CPU time at both ends of a window.
type meter struct {
	done chan struct{}
	used *float64
}

func startMeter(ctx context.Context, clock game.Clock, w measure.Window) *meter {
	m := &meter{done: make(chan struct{})}
	go func() {
		defer close(m.done)
		var at [2]*usage
		for i, t := range []int64{w.From, w.To} {
			select {
			case <-time.After(time.Duration(t - clock.Now())):
			case <-ctx.Done():
				return
			}
			at[i] = used()
		}
		if at[0] != nil && at[1] != nil {
			s := (at[1].cpu - at[0].cpu).Seconds()
			m.used = &s
		}
	}()
	return m
}

// read is called behind the window. nil is not known.
func (m *meter) read() (cpu *float64, peak *uint64) {
	<-m.done
	if u := used(); u != nil {
		peak = &u.peak
	}
	return m.used, peak
}

// usage is what a process has used.
type usage struct {
	cpu  time.Duration
	peak uint64 // resident bytes
}
