//go:build linux

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
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
	protocols  []stack.Protocol // more than one: the gateway by each
	targets    []stack.Kind
	clients    int
	size       int
	counts     []int // with sizes, a grid; both nil: none
	sizes      []int
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
	html       string
}

// allProtocols is the -protocol that is not one.
const allProtocols = "all"

const description = `Usage: go run ./bench/edge [flags]

Compares the gateway with nginx stream and HAProxy: one worker each, TLS 1.3 or
UDP, an echo in another process behind it; over QUIC with a bare quic-go echo; or
the gateway's own transports with each other. Everything is started by this program.

`

func parseOptions(args []string, usage io.Writer) (*options, error) {
	o := &options{}
	f := flag.NewFlagSet("edge", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	protocol := f.String("protocol", "tls", "what clients speak: tls (TLS over TCP), udp (plain datagrams, to the gateway sealed ones), quic (its datagrams) or quic-streams (one stream); all: the gateway alone, by each of them, in one run, with ratios to tls")
	targets := f.String("targets", "", "comma-separated `list` of targets, all of the protocol's if empty: nginx, strait and haproxy by tls; nginx, strait and bare (an echo without a proxy) by udp; bare and strait by quic; strait by all. Ratios are to nginx, or without it to the first")
	f.IntVar(&o.clients, "clients", 200, "sessions of the saturated and the offered load")
	f.IntVar(&o.size, "size", 64, "`bytes` of a message, without its header")
	integers(f, &o.counts, "counts", "comma-separated `list` of -clients, such as 10,200,2000: the saturated and the offered load run with each, and with each of -sizes")
	integers(f, &o.sizes, "sizes", "comma-separated `list` of -size, such as 64,256,1024: likewise, with each of -counts")
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
	handshakes := f.Float64("handshakes", 3, "measured `seconds` of opening new sessions, over QUIC without Retry and then with it; 0 leaves it out")
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
	f.StringVar(&o.html, "html", "", "write the report as a page with pictures to `file`, too")

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
	o.protocols = []stack.Protocol{stack.Protocol(*protocol)}
	if *protocol == allProtocols {
		o.protocols = stack.Protocols
	}
	if *targets == "" {
		o.targets = o.kinds()
	} else {
		for name := range strings.SplitSeq(*targets, ",") {
			o.targets = append(o.targets, stack.Kind(strings.TrimSpace(name)))
		}
	}
	if o.sizes != nil && o.counts == nil {
		o.counts = []int{o.clients}
	}
	if o.counts != nil && o.sizes == nil {
		o.sizes = []int{o.size}
	}
	if err := o.validate(); err != nil {
		return nil, &usageError{err}
	}
	return o, nil
}

// integers defines a flag that is a list of numbers.
func integers(f *flag.FlagSet, to *[]int, name, usage string) {
	f.Func(name, usage, func(s string) error {
		*to = nil
		for word := range strings.SplitSeq(s, ",") {
			n, err := strconv.Atoi(strings.TrimSpace(word))
			if err != nil {
				return errors.New("it must be numbers, separated by commas")
			}
			*to = append(*to, n)
		}
		return nil
	})
}

// title is the page's.
func (o *options) title() string {
	if len(o.protocols) > 1 {
		return "Strait's transports side by side"
	}
	var others []string
	for _, k := range o.targets {
		switch k {
		case stack.Bare:
			others = append(others, "a bare echo")
		case stack.Strait:
		default:
			others = append(others, string(k))
		}
	}
	title := "Strait beside " + strings.Join(others, ", ")
	if len(others) == 0 {
		title = "Strait"
	}
	return title + ": " + o.protocols[0].Title()
}

// kinds are the targets there are.
func (o *options) kinds() []stack.Kind {
	if len(o.protocols) > 1 {
		return []stack.Kind{stack.Strait}
	}
	return o.protocols[0].Kinds()
}

// grid reports whether the loads run with more than one size or number of clients.
func (o *options) grid() bool { return o.sizes != nil }

// points are the numbers of clients and the sizes that the loads run with.
func (o *options) points() (counts, sizes []int) {
	if o.grid() {
		return o.counts, o.sizes
	}
	return []int{o.clients}, []int{o.size}
}

// mostClients is the most sessions of any load but the idle ones.
func (o *options) mostClients() int {
	counts, _ := o.points()
	return max(slices.Max(counts), o.many)
}

func inSeconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func (o *options) validate() error {
	var wrong []error
	check := func(ok bool, format string, a ...any) {
		if !ok {
			wrong = append(wrong, fmt.Errorf(format, a...))
		}
	}
	one := o.protocols[0]
	check(slices.Contains(stack.Protocols, one), "-protocol: %q does not exist; there are %v and %s", one, stack.Protocols, allProtocols)
	for i, k := range o.targets {
		check(slices.Contains(o.kinds(), k), "-targets: %q does not exist by that protocol; there are %v", k, o.kinds())
		check(!slices.Contains(o.targets[:i], k), "-targets: %s is listed twice", k)
	}
	flags := [2]string{"-clients", "-size"}
	if o.grid() {
		flags = [2]string{"-counts", "-sizes"}
	}
	counts, sizes := o.points()
	for i, n := range counts {
		check(n > 0, "%s: %d, it must be 1 or more", flags[0], n)
		check(!slices.Contains(counts[:i], n), "%s: %d is listed twice", flags[0], n)
	}
	for i, n := range sizes {
		check(n >= load.MinSize && n <= o.mostBytes(), "%s: %d, it must be from %d to %d", flags[1], n, load.MinSize, o.mostBytes())
		check(!slices.Contains(sizes[:i], n), "%s: %d is listed twice", flags[1], n)
	}
	check(!o.grid() || o.saturated || o.rate > 0, "-sizes and -counts need a load: -saturated or a -rate")
	check(!o.grid() || o.many == 0, "-many: with -sizes or -counts it is one of -counts")
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
	if o.html != "" {
		// Not after all runs.
		info, err := os.Stat(filepath.Dir(o.html))
		check(err == nil && info.IsDir(), "-html: the folder %s does not exist", filepath.Dir(o.html))
	}
	return errors.Join(wrong...)
}

// datagram is the most that a message has that fits into one.
const datagram = 1100

// mostBytes is the most that a message of the saturated and the offered load may have.
func (o *options) mostBytes() int {
	if slices.Contains(o.protocols, stack.UDP) || slices.Contains(o.protocols, stack.QUIC) {
		return datagram
	}
	return 16384
}

// largest is the size of the message that each idle session sends. QUIC has a stream
// for it.
func (o *options) largest() int {
	if slices.Contains(o.protocols, stack.UDP) {
		return min(o.maxMessage, datagram)
	}
	return o.maxMessage
}
