package swarm

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// lateWarning is the lag of this process from which on its figures deserve a
// warning, as a share of the latency that it measured.
const lateWarning = 0.5

// unsentWarning is the share of messages that were never sent from which on that
// deserves a warning: the last ones before an interruption are always among them.
const unsentWarning = 0.001

// WriteText writes the report as tables for a person.
func (r *Report) WriteText(out io.Writer) error {
	var b strings.Builder
	r.writeFlows(&b)
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	o := r.Opening
	row("opened", "%d of %d in %v%s", o.Opened, r.Setting.Clients, round(o.Ramp), r.transports())
	if o.Time.Count > 0 {
		row("time to open", "p50 %s  p90 %s  p99 %s  max %s ms", millis(o.Time.P50), millis(o.Time.P90), millis(o.Time.P99), millis(o.Time.Max))
	}
	if th := r.Throughput; th.Seconds > 0 {
		row("throughput", "up %s messages/s, %s/s   down %s messages/s, %s/s   over %v", number(th.UpMessages), size(th.UpBytes),
			number(th.DownMessages), size(th.DownBytes), round(th.Seconds*1e6))
	}
	row("snapshots", "%d messages, %s", r.Snapshots.Received, size(float64(r.Snapshots.Bytes)))
	if c := r.Client; c != (ClientReport{}) {
		row("not delivered", "by the client library: %d overtaken before sending, %d on arrival, %d after; %d reliable at a session's end",
			c.SendDropped, c.Stale, c.ReceiveDropped, c.LostReliable)
		if c.Reopened > 0 {
			row("reopened", "%d sessions", c.Reopened)
		}
	}
	if r.Lag.Count > 0 {
		row("sent late by", "p50 %s  p99 %s  max %s ms", millis(r.Lag.P50), millis(r.Lag.P99), millis(r.Lag.Max))
	}
	for _, f := range r.Failures {
		row("error", "%d × %s: %s", f.Count, f.What, f.Reason)
		if f.Example != f.Reason {
			row("", "  such as: %s", f.Example)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, note := range r.notes() {
		b.WriteString(note + "\n")
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func (r *Report) writeFlows(b *strings.Builder) {
	if len(r.Flows) == 0 {
		return
	}
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	cells := func(cells ...string) { fmt.Fprintln(t, strings.Join(cells, "\t")+"\t") }
	cells("flow", "sent", "received", "lost", "loss", "duplicated", "disordered", "p50", "p90", "p99", "p99.9", "max")
	for i := range r.Flows {
		f := &r.Flows[i]
		row := []string{
			f.Name, fmt.Sprint(f.Sent), fmt.Sprint(f.Received), fmt.Sprint(f.Lost), fmt.Sprintf("%.3f%%", f.Loss()*100),
			fmt.Sprint(f.Duplicated), fmt.Sprint(f.Disordered),
		}
		if l := f.Latency; l.Count > 0 {
			row = append(row, millis(l.P50), millis(l.P90), millis(l.P99), millis(l.P999), millis(l.Max))
		} else {
			row = append(row, "-", "-", "-", "-", "-")
		}
		cells(row...)
	}
	_ = t.Flush() // to memory
	b.WriteString("latency in milliseconds, from when a message was due until its echo was received\n\n")
}

// notes is what a reader must know to read the figures right.
func (r *Report) notes() (notes []string) {
	if r.Interrupted {
		notes = append(notes, "The run was interrupted: the figures are about what was until then.")
	}
	if r.EndedEarly {
		notes = append(notes, "The run ended early: no client had a session any more.")
	}
	var echoes, sent uint64
	for _, f := range r.Flows {
		echoes += f.Received
		sent += f.Sent
	}
	if echoes == 0 && sent > 0 {
		notes = append(notes, "No echo came back. If game logic does not echo, loss and latency cannot be measured with it.")
	}
	if float64(r.Unsent) > unsentWarning*float64(sent) {
		notes = append(notes, fmt.Sprintf("%d messages were due and never sent: this machine could not keep up. Ask for less of it, or use several.", r.Unsent))
	}
	for _, f := range r.Flows {
		if f.Latency.Count > 0 && r.Lag.P99 > lateWarning*f.Latency.P99 {
			notes = append(notes, "This process sent late, which is in the latencies: ask for less of this machine, or use several.")
			break
		}
	}
	return notes
}

// transports is how many clients each one carries.
func (r *Report) transports() string {
	var each []string
	for _, name := range slices.Sorted(maps.Keys(r.Transports)) {
		each = append(each, fmt.Sprintf("%s %d", name, r.Transports[name]))
	}
	if len(each) == 0 {
		return ""
	}
	return ": " + strings.Join(each, ", ")
}

// round makes microseconds readable.
func round(us float64) time.Duration {
	return time.Duration(us * float64(time.Microsecond)).Round(10 * time.Millisecond)
}

// millis prints microseconds as milliseconds.
func millis(us float64) string { return fmt.Sprintf("%.3f", us/1000) }

func number(v float64) string {
	if v < 100 {
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

func size(n float64) string {
	for _, unit := range []string{"B", "kB", "MB"} {
		if n < 1000 {
			return number(n) + " " + unit
		}
		n /= 1000
	}
	return number(n) + " GB"
}
