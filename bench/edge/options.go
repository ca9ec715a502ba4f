//go:build linux

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"strait/bench/edge/load"
	"strait/bench/edge/stack"
)

type format uint8

const (
	asText format = iota
	asMarkdown
	asJSON
)

// usageError is a command line that is wrong.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() + " (see -help)" }
func (e *usageError) Unwrap() error { return e.err }

// options are the command line.
type options struct {
	protocol   stack.Protocol
	targets    []stack.Kind
	clients    int
	size       int
	window     int
	rate       float64
	saturated  bool
	many       int
	measure    time.Duration
	warmup     time.Duration
	reps       int
	idle       int
	maxMessage int
	settle     time.Duration
	handshakes time.Duration
	strait     string
	strait2    string
	straitEnv  [][]string
	format     format
}

const description = `Usage: go run ./bench/edge [flags]

Compares the gateway with nginx stream and HAProxy: one worker each, TLS 1.3 or
UDP, an echo in another process behind it. Everything is started by this program.

`

func parseOptions(args []string, usage io.Writer) (*options, error) {
	o := &options{}
	f := flag.NewFlagSet("edge", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	protocol := f.String("protocol", "tls", "what clients speak: tls (TLS over TCP), udp (plain datagrams, to the gateway sealed ones), quic (its datagrams) or quic-streams (one stream)")
	targets := f.String("targets", "", "comma-separated `list` of targets, all of the protocol's if empty: nginx, strait and haproxy by tls; nginx, strait and bare (an echo without a proxy) by udp; bare and strait by quic. Ratios are to nginx, or without it to the first")
	f.IntVar(&o.clients, "clients", 200, "sessions of the saturated and the offered load")
	f.IntVar(&o.size, "size", 64, "`bytes` of a message, without its header of 6")
	f.IntVar(&o.window, "window", 1, "`messages` that a client of the saturated load has on the way")
	f.BoolVar(&o.saturated, "saturated", true, "run the saturated load: each echo is answered by the next message")
	f.Float64Var(&o.rate, "rate", 12000, "round trips a `second`, all clients together, of the offered load; 0 leaves it out")
	f.IntVar(&o.many, "many", 0, "run the offered load also with so many `clients`, such as 5000; 0 leaves it out")
	seconds := f.Float64("seconds", 5, "measured `seconds` of each run")
	warmup := f.Float64("warmup", 1, "`seconds` of each run before it is measured")
	f.IntVar(&o.reps, "reps", 3, "`repetitions`; each runs every target once, in a rotated order")
	f.IntVar(&o.idle, "idle", 2000, "idle `sessions` whose memory is measured; 0 leaves it out")
	f.IntVar(&o.maxMessage, "max-message", 65536, "`bytes` of the message that each idle session sends and gets before its memory is measured again")
	f.DurationVar(&o.settle, "settle", 3*time.Second, "how long sessions are idle before their memory is read")
	handshakes := f.Float64("handshakes", 3, "measured `seconds` of opening new sessions; 0 leaves it out")
	f.StringVar(&o.strait, "strait", "", "the gateway's `binary`; none: built from ./cmd/strait")
	f.StringVar(&o.strait2, "strait2", "", "a second gateway's `binary`, to compare two builds")
	f.Func("strait-env", "`NAME=value` [NAME=value...]: adds a target, the gateway with these in its environment, such as STRAIT_TCP_LOOP=off; may be repeated", func(s string) error {
		set := strings.Fields(s)
		if len(set) == 0 || slices.ContainsFunc(set, func(e string) bool { return strings.Index(e, "=") < 1 }) {
			return errors.New("it must be NAME=value, more of them separated by spaces")
		}
		o.straitEnv = append(o.straitEnv, set)
		return nil
	})
	markdown := f.Bool("markdown", false, "print Markdown")
	jsonOut := f.Bool("json", false, "print JSON, with every run")

	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprint(usage, description)
			f.SetOutput(usage)
			f.PrintDefaults()
			return nil, err
		}
		return nil, &usageError{err}
	}
	o.measure, o.warmup = inSeconds(*seconds), inSeconds(*warmup)
	o.handshakes = inSeconds(*handshakes)
	switch {
	case *markdown && *jsonOut:
		return nil, &usageError{errors.New("-markdown and -json exclude each other")}
	case *markdown:
		o.format = asMarkdown
	case *jsonOut:
		o.format = asJSON
	}
	if f.NArg() > 0 {
		return nil, &usageError{fmt.Errorf("%q is not a flag", f.Arg(0))}
	}
	o.protocol = stack.Protocol(*protocol)
	if *targets == "" {
		o.targets = o.protocol.Kinds()
	} else {
		for name := range strings.SplitSeq(*targets, ",") {
			o.targets = append(o.targets, stack.Kind(strings.TrimSpace(name)))
		}
	}
	if err := o.validate(); err != nil {
		return nil, &usageError{err}
	}
	return o, nil
}

func inSeconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func (o *options) validate() error {
	var wrong []error
	check := func(ok bool, format string, a ...any) {
		if !ok {
			wrong = append(wrong, fmt.Errorf(format, a...))
		}
	}
	check(slices.Contains(stack.Protocols, o.protocol), "-protocol: %q does not exist; there are %v", o.protocol, stack.Protocols)
	for i, k := range o.targets {
		check(slices.Contains(o.protocol.Kinds(), k), "-targets: %q does not exist by %s; there are %v", k, o.protocol, o.protocol.Kinds())
		check(!slices.Contains(o.targets[:i], k), "-targets: %s is listed twice", k)
	}
	check(o.clients > 0, "-clients: %d, it must be 1 or more", o.clients)
	check(o.size >= load.MinSize && o.size <= 16384, "-size: %d, it must be from %d to 16384", o.size, load.MinSize)
	check(o.window > 0, "-window: %d, it must be 1 or more", o.window)
	check(o.rate >= 0, "-rate: %g, it must be 0 or more", o.rate)
	check(o.many >= 0, "-many: %d, it must be 0 or more", o.many)
	check(o.many == 0 || o.rate > 0, "-many needs a -rate")
	check(o.measure > 0, "-seconds: it must be above 0")
	check(o.warmup >= 0, "-warmup: it must be 0 or more")
	check(o.reps > 0, "-reps: %d, it must be 1 or more", o.reps)
	check(o.idle == 0 || o.idle > warming, "-idle: %d, it must be 0 or more than %d", o.idle, warming)
	check(o.maxMessage >= load.MinSize && o.maxMessage <= 1<<20, "-max-message: %d, it must be from %d to 1048576", o.maxMessage, load.MinSize)
	check(o.settle >= 0, "-settle: it must be 0 or more")
	check(o.handshakes >= 0, "-handshakes: it must be 0 or more")
	hasStrait := slices.Contains(o.targets, stack.Strait)
	check(hasStrait || o.strait == "" && o.strait2 == "" && o.straitEnv == nil, "-strait, -strait2 and -strait-env need strait among the -targets")
	return errors.Join(wrong...)
}

// datagram is the most that a message has that fits into one.
const datagram = 1100

// largest is the size of the message that each idle session sends.
func (o *options) largest() int {
	if o.protocol == stack.UDP {
		return min(o.maxMessage, datagram)
	}
	return o.maxMessage
}
