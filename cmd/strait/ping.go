package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"strait/client"
)

type pingCmd struct {
	Addr       string        `arg:"" help:"Gateway to reach, host or host:port; the port is 7777 if left out."`
	Count      int           `short:"n" name:"count" default:"10" placeholder:"N" help:"Number of pings (${default})."`
	Interval   time.Duration `default:"100ms" help:"From the start of one ping to the next (${default})."`
	Timeout    time.Duration `default:"5s" help:"Limit for the opening, and for each ping (${default})."`
	Transport  string        `default:"auto" enum:"auto,quic,tcp+udp,tcp" help:"Transport to try: quic, tcp+udp, tcp, or auto for quic and tcp+udp (${default})."`
	QUICAddr   string        `name:"quic-addr" placeholder:"ADDR" help:"host:port or :port of QUIC, where it is not the port of ADDR."`
	CA         string        `name:"ca" type:"path" placeholder:"FILE" xor:"verify" help:"PEM file of the authorities to trust instead of the system's."`
	Pin        string        `placeholder:"SHA256" xor:"verify" help:"SHA-256 of the server's certificate in hex; several separated by commas."`
	ServerName string        `placeholder:"NAME" help:"Name that the certificate must be good for; the host of ADDR if left out."`
	Cert       string        `type:"path" placeholder:"FILE" and:"certificate" help:"PEM file with the client's certificate and its chain, for a gateway that asks for one."`
	Key        string        `type:"path" placeholder:"FILE" and:"certificate" help:"PEM file with the key of --cert."`
	Token      string        `placeholder:"TEXT" xor:"token" help:"Auth token. Other users of this machine can see it: better a file."`
	TokenFile  string        `type:"path" placeholder:"FILE" xor:"token" help:"File with the auth token; white space around it is cut off."`
	JSON       bool          `name:"json" help:"Print JSON, durations in microseconds."`
}

// Help is shown below the flags.
func (pingCmd) Help() string {
	return `Opens a session on each transport that ADDR serves and measures the round trip to the gateway, without the time that the gateway took to answer. Exit status 1 if no transport answers.

A certificate that the system does not trust is pinned for this one measurement, and the output says so. A token is never sent to such a server.

Examples:
  strait ping play.example.com
  strait ping 127.0.0.1:7777 -n 100 --interval 10ms
  strait ping play.example.com --ca ca.pem --token-file token.jwt
  strait ping play.example.com --ca ca.pem --cert player.pem --key player.key
  strait ping 192.0.2.7 --pin 3f:9a:… --json`
}

// pingReport is what a run found out; its JSON is the output of --json.
type pingReport struct {
	Address    string       `json:"address"`
	Transports []pingResult `json:"transports"`
}

// pingResult is one transport's part. Of a transport that did not answer only
// Transport and Error are set.
type pingResult struct {
	Transport   string       `json:"transport"`
	Error       string       `json:"error,omitempty"`
	Remote      string       `json:"remote,omitempty"`
	Session     string       `json:"session,omitempty"`
	Certificate string       `json:"certificate_sha256,omitempty"`
	Verified    bool         `json:"verified"`
	Unverified  string       `json:"unverified_because,omitempty"`
	Open        *pingOpening `json:"open_us,omitempty"`
	Lane        *pingLane    `json:"lane,omitempty"` // of tcp+udp
	Sent        int          `json:"sent"`
	Answered    int          `json:"answered"`
	RTT         *pingRTT     `json:"rtt_us,omitempty"`
	Failed      string       `json:"ping_error,omitempty"` // why not all were answered

	err error
}

// answers reports whether the transport is there: a session opened, and a ping
// came back.
func (r *pingResult) answers() bool { return r.err == nil && r.Answered > 0 }

// pingOpening is in microseconds.
type pingOpening struct {
	Total   float64 `json:"total"`
	Resolve float64 `json:"resolve"`
	Connect float64 `json:"connect"`
	TLS     float64 `json:"tls"`
	Hello   float64 `json:"hello"`
}

// pingLane is the sealed UDP lane beside a TCP session; times are in microseconds.
type pingLane struct {
	Offered bool    `json:"offered"`
	Bound   bool    `json:"bound"`
	Remote  string  `json:"remote,omitempty"`
	Bind    float64 `json:"bind_us,omitempty"` // from the open session
	RTT     float64 `json:"rtt_us,omitempty"`
	Jitter  float64 `json:"jitter_us,omitempty"`
	LossPPM uint32  `json:"loss_ppm"`
}

// pingRTT is in microseconds.
type pingRTT struct {
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
	P99    float64 `json:"p99"`
	Max    float64 `json:"max"`
}

// Run measures and prints; the error says that no transport answered.
func (p *pingCmd) Run(ctx context.Context, out io.Writer) error {
	switch {
	case p.Count < 1:
		return fmt.Errorf("-n %d: at least 1 ping is needed", p.Count)
	case p.Interval < 0:
		return fmt.Errorf("--interval %v: it cannot be negative", p.Interval)
	case p.Timeout <= 0:
		return fmt.Errorf("--timeout %v: it has to be above 0", p.Timeout)
	}
	options, err := p.options()
	if err != nil {
		return err
	}
	report := pingReport{Address: p.Addr}
	var failures []error
	for _, t := range client.Transports {
		// What TCP does alone the session with a lane shows as well.
		if p.Transport != t.String() && (p.Transport != client.Auto.String() || t == client.TCP) {
			continue
		}
		options.Transport = t
		r := p.measure(ctx, options)
		if !r.answers() {
			failures = append(failures, fmt.Errorf("%s: %w", t, r.err))
		}
		report.Transports = append(report.Transports, r)
	}
	if err := p.print(out, report); err != nil {
		return err
	}
	if len(failures) == len(report.Transports) {
		return fmt.Errorf("no transport of %s answers: %w", p.Addr, errors.Join(failures...))
	}
	return nil
}

func (p *pingCmd) options() (client.Options, error) {
	o := client.Options{
		CAFile: p.CA, Pin: p.Pin, ServerName: p.ServerName, Name: "strait-ping",
		OpenTimeout: p.Timeout, Reconnect: client.Reconnect{Off: true}, QUICAddr: p.QUICAddr,
	}
	token := []byte(p.Token)
	if p.TokenFile != "" {
		b, err := os.ReadFile(p.TokenFile)
		if err != nil {
			return o, fmt.Errorf("--token-file: %w", err)
		}
		token = []byte(strings.TrimSpace(string(b)))
		if len(token) == 0 {
			return o, fmt.Errorf("--token-file: %s is empty", p.TokenFile)
		}
	}
	if p.Cert != "" {
		pair, err := tls.LoadX509KeyPair(p.Cert, p.Key)
		if err != nil {
			return o, fmt.Errorf("--cert %s, --key %s: %w", p.Cert, p.Key, err)
		}
		o.Certificate = &pair
	}
	if len(token) > 0 {
		o.Token = func(context.Context) ([]byte, error) { return token, nil }
	}
	return o, nil
}

// measure opens one session and pings.
func (p *pingCmd) measure(ctx context.Context, o client.Options) pingResult {
	r := pingResult{Transport: o.Transport.String(), Verified: true}
	bound := make(chan struct{})
	var once sync.Once
	o.OnState = func(s client.State) {
		if s.Kind == client.LaneBound {
			once.Do(func() { close(bound) })
		}
	}
	c, err := client.Dial(ctx, p.Addr, o)
	var unverified *client.VerifyError
	switch {
	case !errors.As(err, &unverified) || p.CA != "" || p.Pin != "":
	case o.Token != nil:
		err = fmt.Errorf("the token was not sent: %w", err)
	default:
		r.Verified, r.Unverified = false, unverified.Err.Error()
		o.Pin = unverified.Fingerprint
		c, err = client.Dial(ctx, p.Addr, o)
	}
	if err != nil {
		r.Verified = false
		r.err, r.Error = err, err.Error()
		return r
	}
	info := c.Info()
	r.Remote, r.Session, r.Certificate = info.Remote.String(), info.SessionID.String(), info.Certificate
	r.Open = &pingOpening{
		Total: micros(info.OpenTime), Resolve: micros(info.Opening.Resolve), Connect: micros(info.Opening.Connect),
		TLS: micros(info.Opening.TLS), Hello: micros(info.Opening.Hello),
	}
	// What game logic sends must be taken, or the PONGs get stuck behind it.
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		for {
			if _, err := c.Receive(context.Background()); err != nil {
				return
			}
		}
	}()
	began := time.Now()
	var bind time.Duration
	if o.Transport == client.TCPUDP && c.Info().Lane.Offered {
		select {
		case <-bound:
			bind = time.Since(began)
		case <-time.After(min(p.Timeout, binding)):
		case <-ctx.Done():
		case <-c.Done():
		}
	}
	rtts, err := p.pings(ctx, c, &r)
	if o.Transport == client.TCPUDP {
		p.measured(ctx, c)
		r.lane(c.Info().Lane, bind)
	}
	_ = c.Close()
	<-drained
	r.Answered = len(rtts)
	if err != nil {
		r.Failed = err.Error()
	}
	if r.Answered == 0 {
		r.err = err
		return r
	}
	slices.Sort(rtts)
	r.RTT = &pingRTT{
		Min: micros(rtts[0]), Median: micros(percentile(rtts, 50)),
		P99: micros(percentile(rtts, 99)), Max: micros(rtts[len(rtts)-1]),
	}
	return r
}

// binding is how long binding a lane may take: the client's series of HELLOs (WIRE.md
// section 6.4).
const binding = 3 * time.Second

// measured waits for the bound lane's first round trip, which the PING that binding sent
// is still to tell: over a quick link all pings may be answered before it.
func (p *pingCmd) measured(ctx context.Context, c *client.Client) {
	ctx, cancel := context.WithTimeout(ctx, min(p.Timeout, time.Second))
	defer cancel()
	for l := c.Info().Lane; l.Bound && l.RTT == 0; l = c.Info().Lane {
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return
		case <-c.Done():
			return
		}
	}
}

// lane notes what became of the lane; a session without one is plain TCP.
func (r *pingResult) lane(l client.Lane, bind time.Duration) {
	r.Lane = &pingLane{Offered: l.Offered, Bound: l.Bound}
	if !l.Bound {
		r.Transport = client.TCP.String()
		return
	}
	r.Lane.Remote, r.Lane.Bind = l.Remote.String(), micros(bind)
	r.Lane.RTT, r.Lane.Jitter, r.Lane.LossPPM = micros(l.RTT), micros(l.Jitter), l.LossPPM
}

// String says in a line what became of the lane.
func (l *pingLane) String() string {
	switch {
	case !l.Offered:
		return "no UDP lane: the gateway offers none"
	case !l.Bound:
		return "no UDP lane: nothing came back from the offered address; unreliable messages go over TCP"
	}
	rtt := "not measured"
	if l.RTT > 0 {
		rtt = fmt.Sprintf("%s ± %s", millis(l.RTT), millis(l.Jitter))
	}
	return fmt.Sprintf("UDP lane to %s, bound after %s, rtt %s, loss %.2f %%", l.Remote, millis(l.Bind), rtt, float64(l.LossPPM)/1e4)
}

// pings returns the round trips that were answered. The error is the last thing
// that went wrong; a ping without an answer does not end the run, the end of the
// session or of ctx does.
func (p *pingCmd) pings(ctx context.Context, c *client.Client, r *pingResult) (rtts []time.Duration, last error) {
	tick := time.NewTicker(max(p.Interval, 1))
	defer tick.Stop()
	for r.Sent < p.Count {
		if r.Sent > 0 {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return rtts, context.Cause(ctx)
			}
		}
		r.Sent++
		one, cancel := context.WithTimeoutCause(ctx, p.Timeout, fmt.Errorf("a ping had no answer within %v", p.Timeout))
		rtt, err := c.Ping(one)
		if err != nil && one.Err() != nil {
			err = context.Cause(one)
		}
		cancel()
		if err == nil {
			rtts = append(rtts, rtt)
			continue
		}
		last = err
		if ctx.Err() != nil || c.Err() != nil {
			break
		}
	}
	return rtts, last
}

// percentile is the smallest sample that is not below pct per cent of them
// (nearest rank); sorted is not empty.
func percentile(sorted []time.Duration, pct int) time.Duration {
	rank := (len(sorted)*pct + 99) / 100
	return sorted[max(rank, 1)-1]
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func (p *pingCmd) print(out io.Writer, report pingReport) error {
	if p.JSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(report)
	}
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	cell := func(cells ...string) { fmt.Fprintln(t, strings.Join(cells, "\t")+"\t") }
	cell("transport", "answered", "rtt min", "median", "p99", "max", "open", "resolve", "connect", "tls", "hello")
	rows := 0
	for _, r := range report.Transports {
		if r.Open == nil {
			continue
		}
		rows++
		row := []string{r.Transport, fmt.Sprintf("%d/%d", r.Answered, r.Sent)}
		if r.RTT != nil {
			row = append(row, millis(r.RTT.Min), millis(r.RTT.Median), millis(r.RTT.P99), millis(r.RTT.Max))
		} else {
			row = append(row, "-", "-", "-", "-")
		}
		cell(append(row, millis(r.Open.Total), millis(r.Open.Resolve), millis(r.Open.Connect), millis(r.Open.TLS), millis(r.Open.Hello))...)
	}
	if rows > 0 {
		if err := t.Flush(); err != nil {
			return err
		}
		b.WriteString("times in milliseconds\n")
	}
	for _, r := range report.Transports {
		switch {
		case r.Error != "" && rows == 0: // the error of Run tells
		case r.Error != "":
			fmt.Fprintf(&b, "%s: no answer: %s\n", r.Transport, r.Error)
		default:
			fmt.Fprintf(&b, "%s: %s, session %s\n", r.Transport, r.Remote, r.Session)
			if r.Lane != nil {
				fmt.Fprintf(&b, "%s: %s\n", r.Transport, r.Lane)
			}
			if r.Failed != "" {
				fmt.Fprintf(&b, "%s: %s\n", r.Transport, r.Failed)
			}
		}
	}
	unverified(&b, report.Transports)
	_, err := io.WriteString(out, b.String())
	return err
}

// unverified warns of each certificate that nobody vouches for, once.
func unverified(b *strings.Builder, all []pingResult) {
	var told []string
	for _, r := range all {
		if r.Error != "" || r.Verified || slices.Contains(told, r.Certificate) {
			continue
		}
		told = append(told, r.Certificate)
		fmt.Fprintf(b, "THE CERTIFICATE WAS NOT VERIFIED: %s\n"+
			"  If you know that this is the right one, verify it from now on with\n"+
			"  --pin %s\n", r.Unverified, r.Certificate)
	}
}

// millis prints microseconds as milliseconds.
func millis(us float64) string { return fmt.Sprintf("%.3f", us/1000) }
