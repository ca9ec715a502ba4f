package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"strait/client"
	"strait/compare/report"
	"strait/compare/swarm"
)

type swarmCmd struct {
	Addr     string        `arg:"" help:"Gateway to load, host or host:port; the port is 7777 if left out."`
	Clients  int           `short:"c" default:"100" placeholder:"N" help:"Number of clients (${default})."`
	Ramp     time.Duration `placeholder:"TIME" help:"Spread their openings over this time; 2 ms for each client if left out."`
	Duration time.Duration `short:"d" default:"10s" help:"Time to send, once all are open (${default})."`
	Wait     time.Duration `default:"2s" help:"Limit of the wait at the end for what is on the way (${default})."`

	Transport swarmTransport `default:"auto" placeholder:"NAME" help:"Transport of all clients (${default}); the names stand above."`
	QUICAddr  string         `name:"quic-addr" placeholder:"ADDR" help:"Where the gateway speaks QUIC, host:port or :port; ADDR if left out."`

	InputRate    float64 `default:"20" placeholder:"HZ" help:"Unreliable inputs of each client a second (${default}); 0 for none."`
	InputSize    int     `default:"64" placeholder:"BYTES" help:"Size of an input (${default})."`
	InputChannel uint8   `default:"0" placeholder:"N" help:"Channel of inputs (${default})."`
	ChatRate     float64 `default:"0.5" placeholder:"HZ" help:"Reliable messages of each client a second (${default}); 0 for none."`
	ChatSize     int     `default:"128" placeholder:"BYTES" help:"Size of a reliable message (${default})."`
	ChatChannel  uint8   `default:"1" placeholder:"N" help:"Channel of reliable messages (${default})."`
	Seed         uint64  `default:"1" placeholder:"N" help:"Seed of the clients' phases (${default})."`

	KeepGoing bool          `help:"Clients come back when their session ends, and the run lasts its time; failures are no reason for status 1."`
	MaxP99    time.Duration `name:"max-p99" placeholder:"TIME" help:"Status 1 if the p99 of a flow is above this."`
	MaxLoss   *percent      `placeholder:"PERCENT" help:"Status 1 if a flow loses more than this, such as 0.1%."`
	JSON      string        `name:"json" type:"path" placeholder:"FILE" help:"Write the report to this file as JSON, durations in microseconds."`
	Timeout   time.Duration `default:"10s" help:"Limit for each opening (${default})."`

	CA         string `name:"ca" type:"path" placeholder:"FILE" xor:"verify" help:"PEM file of the authorities to trust instead of the system's."`
	Pin        string `placeholder:"SHA256" xor:"verify" help:"SHA-256 of the server's certificate in hex; several separated by commas."`
	ServerName string `placeholder:"NAME" help:"Name that the certificate must be good for; the host of ADDR if left out."`
	Cert       string `type:"path" placeholder:"FILE" and:"certificate" help:"PEM file with the client's certificate and its chain, for a gateway that asks for one."`
	Key        string `type:"path" placeholder:"FILE" and:"certificate" help:"PEM file with the key of --cert."`
	Token      string `placeholder:"TEXT" xor:"token" help:"Auth token of all clients. Other users of this machine can see it: better a file."`
	TokenFile  string `type:"path" placeholder:"FILE" xor:"token" help:"File with the auth token; white space around it is cut off."`
}

// Help is shown below the flags.
func (swarmCmd) Help() string {
	return `Opens many clients, lets each send inputs and chat on a schedule that waits for nobody, and reports what came back: loss, duplicates, order, latency and errors. Latency counts from when a message was due until its echo was received, so game logic has to echo; without STRAIT_UPSTREAM the gateway does. Whatever else game logic sends is counted as snapshots.

Exit status 1 if no client could open, if a client failed or lost its session (unless --keep-going), or if --max-p99 or --max-loss is missed; the last lines say which. Without --keep-going the run goes on with the clients that are left and ends with the last. Ctrl-C ends the load, and what was measured is reported.

One process holds some 10,000 clients at low rates; each needs one open file, two where a session may use UDP beside TCP. A certificate that the system does not trust is pinned for this run if ADDR is this machine, and the output says so; a token is never sent to such a server.

Transports: ` + strings.Join(swarm.TransportNames(), ", ") + `; quic-streams is QUIC without datagrams

Examples:
  strait swarm 127.0.0.1:7777
  strait swarm play.example.com -c 500 -d 1m --token-file token.jwt --json report.json
  strait swarm 127.0.0.1:7777 -c 9000 --ramp 30s --input-rate 1 --chat-rate 0.1 --transport tcp
  strait swarm 127.0.0.1:7777 --max-p99 20ms --max-loss 0.1%
  strait swarm 127.0.0.1:7777 -c 5000 --input-rate 0 --chat-rate 0 -d 10m   idle sessions alone`
}

// swarmTransport is the name of a transport.
type swarmTransport struct{ swarm.Transport }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (t *swarmTransport) UnmarshalText(text []byte) (err error) {
	t.Transport, err = swarm.ParseTransport(string(text))
	return err
}

// percent is a share, read as "0.1" or "0.1%".
type percent float64

// UnmarshalText implements [encoding.TextUnmarshaler].
func (p *percent) UnmarshalText(text []byte) error {
	v, err := strconv.ParseFloat(strings.TrimSuffix(string(text), "%"), 64)
	if err != nil || !(v >= 0 && v <= 100) {
		return fmt.Errorf("%q is no percentage; it should be from 0 to 100, such as 0.1%%", text)
	}
	*p = percent(v / 100)
	return nil
}

// Run loads the gateway and prints the report; the error says what of the limits was
// missed.
func (c *swarmCmd) Run(ctx context.Context, out io.Writer, status logOutput) error {
	if c.MaxP99 < 0 {
		return fmt.Errorf("--max-p99 %v: it cannot be negative", c.MaxP99)
	}
	if c.Timeout <= 0 {
		return fmt.Errorf("--timeout %v: it has to be above 0", c.Timeout)
	}
	config, err := c.config()
	if err != nil {
		return err
	}
	if err := config.Validate(); err != nil {
		return err
	}
	if c.JSON != "" {
		if err := writable(c.JSON); err != nil {
			return fmt.Errorf("--json: %w", err)
		}
	}
	if err := c.trust(ctx, &config.Options, status); err != nil {
		return err
	}
	display := newDisplay(status.Writer)
	config.Progress, config.Interval = display.show, display.interval()
	r, err := swarm.Run(ctx, config)
	display.close()
	if err != nil {
		return err
	}
	if err := r.WriteText(out); err != nil {
		return err
	}
	if c.JSON != "" {
		if err := report.Save(c.JSON, r.WriteJSON); err != nil {
			return err
		}
	}
	limits := swarm.Limits{MaxP99: c.MaxP99, MaxLoss: (*float64)(c.MaxLoss), Failures: c.KeepGoing}
	if missed := limits.Missed(r); len(missed) > 0 {
		return errors.New(strings.Join(missed, "\n"))
	}
	return nil
}

func (c *swarmCmd) config() (swarm.Config, error) {
	// The flags for the server are those of ping.
	ping := pingCmd{CA: c.CA, Pin: c.Pin, ServerName: c.ServerName, Cert: c.Cert, Key: c.Key, Token: c.Token, TokenFile: c.TokenFile, Timeout: c.Timeout}
	options, err := ping.options()
	options.Reconnect = client.Reconnect{}
	options.Name, options.QUICAddr = "strait-swarm", c.QUICAddr
	c.Transport.Set(&options)
	return swarm.Config{
		Addr: c.Addr, Options: options, Clients: c.Clients, Ramp: c.Ramp, Duration: c.Duration, Wait: c.Wait,
		Inputs:    swarm.Flow{Rate: c.InputRate, Size: c.InputSize, Channel: c.InputChannel},
		Chat:      swarm.Flow{Rate: c.ChatRate, Size: c.ChatSize, Channel: c.ChatChannel},
		KeepGoing: c.KeepGoing, Seed: c.Seed,
	}, err
}

// trust opens one session to see whether the server can be verified. One on this
// machine that cannot is pinned, for this run alone.
func (c *swarmCmd) trust(ctx context.Context, o *client.Options, status io.Writer) error {
	if c.CA != "" || c.Pin != "" {
		return nil
	}
	once := *o
	once.Reconnect.Off = true
	probe, err := client.Dial(ctx, c.Addr, once)
	if err == nil {
		return probe.Close()
	}
	var unverified *client.VerifyError
	switch {
	case !errors.As(err, &unverified):
		return err
	case o.Token != nil:
		return fmt.Errorf("the token was not sent: %w", err)
	case !loopback(c.Addr):
		return err
	}
	o.Pin = unverified.Fingerprint
	_, err = fmt.Fprintf(status, "THE CERTIFICATE WAS NOT VERIFIED: %v\n"+
		"  It is on this machine and pinned for this run. If you know that it is the right one, use\n"+
		"  --pin %s\n", unverified.Err, unverified.Fingerprint)
	return err
}

// loopback reports whether addr, as client.Dial takes it, is of this machine.
func loopback(addr string) bool {
	host := addr
	if h, _, err := net.SplitHostPort(addr); err == nil {
		host = h
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "" || host == "localhost" || ip.IsLoopback()
}

// writable reports whether a file can be written in place of name, with room for a
// report, so that it is known before the run.
func writable(name string) error {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s is no regular file; give the name of one, or of one to be made", name)
	}
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return fmt.Errorf("%s cannot be written: %w", name, err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(make([]byte, reportRoom))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("%s cannot be written: %w", name, err)
	}
	return nil
}

// reportRoom is more than a report has, in bytes.
const reportRoom = 256 << 10
