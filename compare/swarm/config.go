package swarm

import (
	"errors"
	"fmt"
	"math"
	"time"

	"strait/client"
)

// Defaults of [Config].
const (
	DefaultDuration = 10 * time.Second
	DefaultWait     = 2 * time.Second
	DefaultInterval = time.Second
	// RampPerClient is the ramp of one client where none is given.
	RampPerClient = 2 * time.Millisecond
)

const (
	maxClients = 1 << 20
	maxRate    = 10_000 // of one flow of one client, a second
	maxSize    = 65_533 // what the length in a frame can tell, WIRE.md section 2
)

// Config says what a swarm does.
type Config struct {
	// Addr is the gateway, as client.Dial takes it.
	Addr string
	// Options say how each client dials. Of Reconnect only the times count, and those
	// with KeepGoing; OnState is the swarm's; an empty Name is "strait-swarm".
	Options client.Options
	// Clients is how many; at least 1.
	Clients int
	// Ramp is how long the openings are spread over; 0 is RampPerClient for each.
	Ramp time.Duration
	// Duration is how long messages are sent, once all clients are open; 0 is
	// DefaultDuration.
	Duration time.Duration
	// Wait bounds the wait for what is on the way at the end; 0 is DefaultWait.
	Wait time.Duration
	// Inputs are sent unreliably, Chat reliably. Without a rate nothing is sent.
	Inputs, Chat Flow
	// KeepGoing lets clients come back whose session has ended, and the run last its
	// time.
	KeepGoing bool
	// Seed decides at which phase of its schedule each client begins.
	Seed uint64
	// Progress is called every Interval, 0 is DefaultInterval, and at the end of each
	// phase; from one goroutine, which nothing else waits for but the end of Run. nil:
	// nobody listens.
	Progress func(Progress)
	Interval time.Duration
}

// Flow is what each client sends of one kind.
type Flow struct {
	Rate    float64 // messages a second; 0 is none
	Size    int     // bytes of each message; at least HeaderLen
	Channel uint8
}

// Validate reports every setting that Run would refuse.
func (c *Config) Validate() error {
	var errs []error
	refuse := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Addr == "" {
		refuse("the address of the gateway is empty; it should look like play.example.com:%s", client.DefaultPort)
	}
	if err := c.Options.Validate(); err != nil {
		errs = append(errs, err)
	}
	switch {
	case c.Clients < 1:
		refuse("%d clients: at least 1 is needed", c.Clients)
	case c.Clients > maxClients:
		refuse("%d clients: at most %d", c.Clients, maxClients)
	default:
		if err := enoughFiles(c.Clients, transportOf(&c.Options)); err != nil {
			errs = append(errs, err)
		}
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"ramp", c.Ramp}, {"duration", c.Duration}, {"wait", c.Wait}, {"interval", c.Interval}} {
		if d.value < 0 {
			refuse("%s %v: it cannot be negative", d.name, d.value)
		}
	}
	for f, flow := range c.flows() {
		err := flow.validate(FlowName(f))
		if err == nil && flow.Rate*c.withDefaults().Duration.Seconds() >= math.MaxUint32 {
			err = fmt.Errorf("%s: %v a second for %v are more than the %d messages that sequence numbers tell apart",
				FlowName(f), flow.Rate, c.Duration, uint32(math.MaxUint32))
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (f Flow) validate(name string) error {
	switch {
	case math.IsNaN(f.Rate) || f.Rate < 0:
		return fmt.Errorf("%s: rate %v: it cannot be negative; 0 sends none", name, f.Rate)
	case f.Rate > maxRate:
		return fmt.Errorf("%s: rate %v: at most %d messages a second for each client", name, f.Rate, maxRate)
	case f.Rate == 0:
		return nil
	case f.Size < HeaderLen:
		return fmt.Errorf("%s: size %d: every message carries a header of %d bytes; give at least that", name, f.Size, HeaderLen)
	case f.Size > maxSize:
		return fmt.Errorf("%s: size %d: a message has at most %d bytes", name, f.Size, maxSize)
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.Options.Name == "" {
		c.Options.Name = "strait-swarm"
	}
	if c.Ramp == 0 {
		c.Ramp = time.Duration(c.Clients) * RampPerClient
	}
	if c.Duration == 0 {
		c.Duration = DefaultDuration
	}
	if c.Wait == 0 {
		c.Wait = DefaultWait
	}
	if c.Interval == 0 {
		c.Interval = DefaultInterval
	}
	return c
}

func (c *Config) flows() [flows]Flow { return [flows]Flow{inputs: c.Inputs, chat: c.Chat} }
