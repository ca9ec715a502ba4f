package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/client"
	"strait/client/clienttest"
	"strait/compare/swarm"
	"strait/proto/straitv1"
	"strait/transport"
)

// load runs the command as main does, with the arguments behind "swarm".
func load(t *testing.T, args ...string) (out, status string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return loadUntil(t, ctx, args...)
}

func loadUntil(t *testing.T, ctx context.Context, args ...string) (string, string, error) {
	t.Helper()
	var c struct {
		Swarm swarmCmd `cmd:""`
	}
	var out, status bytes.Buffer
	parser, err := kong.New(&c, kong.Exit(func(int) { t.Error("kong wanted to exit") }),
		kong.Writers(&out, &out), kong.BindTo(&out, (*io.Writer)(nil)), kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(logOutput{&status}))
	require.NoError(t, err)
	k, err := parser.Parse(append([]string{"swarm"}, args...))
	if err != nil {
		return "", "", err
	}
	err = k.Run()
	return out.String(), status.String(), err
}

// few are the flags of a run of a fraction of a second: one input a client, so that no
// newer one overtakes it, and four of chat. On a busy machine it takes longer.
func few(addr string, more ...string) []string {
	return append([]string{addr, "-c", "5", "-d", "200ms", "--ramp", "5ms", "--input-rate", "5", "--chat-rate", "20", "--wait", "20s", "--transport", "tcp"}, more...)
}

func TestSwarmPrintsATableAndPinsWhatIsOnThisMachine(t *testing.T) {
	g := pingGateway(t, clienttest.Config{})
	out, status, err := load(t, few(g.Addr())...)
	require.NoError(t, err)
	lines := strings.Split(out, "\n")
	assert.Equal(t, []string{"flow", "sent", "received", "lost", "loss", "duplicated", "disordered", "p50", "p90", "p99", "p99.9", "max"}, strings.Fields(lines[0]))
	assert.Regexp(t, `^ *inputs +5 +5 +0 +0\.000% +0 +0 `, lines[1])
	assert.Regexp(t, `^ *chat +20 +20 +0 +0\.000% +0 +0 `, lines[2])
	assert.Equal(t, len(lines[0]), len(lines[1]), "columns are aligned")
	assert.Contains(t, out, "5 of 5 in")
	assert.Contains(t, out, ": tcp 5\n")
	assert.Contains(t, status, "NOT VERIFIED")
	assert.Contains(t, status, "--pin "+g.Pin())
	assert.Equal(t, 5+1, g.Accepted(), "once to see whether it can be verified")

	_, status, err = load(t, few(g.Addr(), "--pin", g.Pin())...)
	require.NoError(t, err)
	assert.NotContains(t, status, "VERIFIED")
}

func TestSwarmShowsACertificate(t *testing.T) {
	g, cert, key := wantsCertificate(t)
	out, _, err := load(t, few(g.Addr(), "--cert", cert, "--key", key)...)
	require.NoError(t, err)
	assert.Contains(t, out, "5 of 5 in")
	_, _, err = load(t, few(g.Addr())...)
	assert.ErrorContains(t, err, "the gateway wants a certificate of the client")
	_, _, err = load(t, few(g.Addr(), "--cert", cert)...)
	assert.ErrorContains(t, err, "--cert and --key")
}

func TestSwarmWritesJSON(t *testing.T) {
	g := pingGateway(t, clienttest.Config{})
	dir := t.TempDir()
	file := filepath.Join(dir, "report.json")
	require.NoError(t, os.WriteFile(file, []byte("what was before"), 0o600))
	_, _, err := load(t, few(g.Addr(), "--pin", g.Pin(), "--json", file, "--seed", "9")...)
	require.NoError(t, err)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var r swarm.Report
	require.NoError(t, json.Unmarshal(text, &r))
	assert.Equal(t, swarm.Schema, r.Schema)
	assert.EqualValues(t, 9, r.Setting.Seed)
	assert.EqualValues(t, 20, r.Flows[1].Received)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 1, "nothing but the report is left")
}

func TestSwarmKnowsBeforeTheRunWhatCannotBeWritten(t *testing.T) {
	g := pingGateway(t, clienttest.Config{})
	dir := t.TempDir()
	for text, file := range map[string]string{
		"no regular file":   dir,
		"cannot be written": filepath.Join(dir, "none", "report.json"),
	} {
		_, _, err := load(t, few(g.Addr(), "--json", file)...)
		assert.ErrorContains(t, err, "--json: ")
		assert.ErrorContains(t, err, text)
	}
	assert.Zero(t, g.Accepted())
}

func TestSwarmSaysWhatWasMissed(t *testing.T) {
	var drop sync.Once
	g := pingGateway(t, clienttest.Config{Message: func(s *clienttest.Session, d transport.Delivery, channel uint8, payload []byte) {
		dropped := false
		if d == transport.Reliable {
			drop.Do(func() { dropped = true })
		}
		if !dropped {
			s.Send(d, channel, payload)
		}
	}})
	out, _, err := load(t, few(g.Addr(), "--wait", "2s", "--max-p99", "1ns", "--max-loss", "4.9%")...)
	assert.Contains(t, out, "throughput", "the report is printed all the same")
	lines := strings.Split(err.Error(), "\n")
	require.Len(t, lines, 3)
	assert.Regexp(t, `^inputs: the p99 of .*s is above 1ns$`, lines[0])
	assert.Regexp(t, `^chat: the p99 of `, lines[1])
	assert.Equal(t, "chat: the loss of 5 % (1 of 20) is above 4.9 %", lines[2])
	_, _, err = load(t, few(g.Addr(), "--max-p99", "1m", "--max-loss", "0")...)
	assert.NoError(t, err)
}

func TestSwarmFailsWhenSessionsEnd(t *testing.T) {
	g := pingGateway(t, clienttest.Config{Opened: func(s *clienttest.Session) {
		s.Close(transport.Because(transport.Kicked, "nobody plays here"))
	}})
	out, _, err := load(t, few(g.Addr(), "--pin", g.Pin(), "-d", "1h")...)
	assert.EqualError(t, err, "5 of 5 sessions ended before the run did")
	assert.Contains(t, out, "5 × ended: closed by the gateway: KICKED")
	assert.Contains(t, out, "nobody plays here")
	assert.Contains(t, out, "The run ended early")
	_, _, err = load(t, few(g.Addr(), "--pin", g.Pin(), "--keep-going", "--wait", "10ms")...)
	assert.NoError(t, err)
}

func TestSwarmFailsWhenNothingAnswers(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	out, _, err := load(t, few(l.Addr().String(), "-c", "500")...)
	assert.ErrorContains(t, err, "is the gateway running")
	assert.Empty(t, out, "the error tells it all")
}

func TestSwarmReportsWhenItIsInterrupted(t *testing.T) {
	g := pingGateway(t, clienttest.Config{})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		for g.Accepted() < 5 {
			<-time.After(time.Millisecond)
		}
		cancel()
	}()
	out, _, err := loadUntil(t, ctx, few(g.Addr(), "--pin", g.Pin(), "-d", "1h")...)
	require.NoError(t, err)
	assert.Contains(t, out, "The run was interrupted")
}

func TestSwarmSendsATokenOnlyToAVerifiedServer(t *testing.T) {
	tokens := make(chan string, 20)
	g := pingGateway(t, clienttest.Config{Hello: func(h *straitv1.ClientHello, _ *straitv1.ServerHello) error {
		tokens <- string(h.GetAuthToken())
		return nil
	}})
	_, _, err := load(t, few(g.Addr(), "--token", "secret")...)
	var verify *client.VerifyError
	require.ErrorAs(t, err, &verify)
	require.ErrorContains(t, err, "the token was not sent")
	require.Empty(t, tokens)
	_, _, err = load(t, few(g.Addr(), "--token", "secret", "--pin", g.Pin())...)
	require.NoError(t, err)
	for range 5 {
		assert.Equal(t, "secret", <-tokens)
	}
}

func TestSwarmRefusesWhatMakesNoSense(t *testing.T) {
	for text, args := range map[string][]string{
		"0 clients: at least 1":                          {"-c", "0"},
		"inputs: rate -1: it cannot be negative":         {"--input-rate=-1"},
		"chat: size 27: every message carries a header":  {"--chat-size", "27"},
		"duration -1s: it cannot be negative":            {"--duration=-1s"},
		"--max-p99 -1s: it cannot be negative":           {"--max-p99=-1s"},
		"--timeout 0s: it has to be above 0":             {"--timeout", "0s"},
		`there is no transport "tpc"; did you mean tcp?`: {"--transport", "tpc"},
		`"101" is no percentage`:                         {"--max-loss", "101"},
		`"much" is no percentage`:                        {"--max-loss", "much"},
		"--chat-channel":                                 {"--chat-channel", "256"},
		"can't be used":                                  {"--pin", "x", "--ca", "y"},
		"--token-file":                                   {"--token-file", filepath.Join(t.TempDir(), "none")},
		"not a SHA-256":                                  {"--pin", "abc"},
		"QUICAddr":                                       {"--quic-addr", "nowhere"},
	} {
		_, _, err := load(t, append(args, "127.0.0.1:1")...)
		assert.ErrorContains(t, err, text)
	}
}

func TestTheCommandLineHasSwarm(t *testing.T) {
	var out, errOut bytes.Buffer
	assert.Equal(t, 0, run([]string{"swarm", "--help"}, nil, &out, &errOut))
	assert.Contains(t, out.String(), "Examples:")
	assert.Contains(t, out.String(), "Transports: auto, ")
	assert.Equal(t, 2, run([]string{"swarm", "127.0.0.1:1", "--transport", "qiuc"}, nil, &out, &errOut))
	assert.Contains(t, errOut.String(), "did you mean quic?")
	errOut.Reset()
	assert.Equal(t, 1, run([]string{"swarm", "127.0.0.1:1", "--clients=-1"}, nil, &out, &errOut))
	assert.Equal(t, "strait: -1 clients: at least 1 is needed\n", errOut.String())
}

func TestOnlyThisMachineIsPinned(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:7777", "127.9.9.9", "localhost", "localhost:1", "[::1]:7777", "[::1]", "::1", ":7777"} {
		assert.True(t, loopback(addr), addr)
	}
	for _, addr := range []string{"192.0.2.1:7777", "play.example.com", "localhost.example.com:1", "[2001:db8::1]:1"} {
		assert.False(t, loopback(addr), addr)
	}
}

func TestProgressInLines(t *testing.T) {
	var out bytes.Buffer
	d := newDisplay(&out)
	for _, p := range []swarm.Progress{
		{Phase: swarm.Opening, Clients: 100, Opened: 40, Errors: 2},
		{Phase: swarm.Loading, Of: time.Minute},
		{
			Phase: swarm.Loading, Of: time.Minute, Elapsed: 5 * time.Second, Live: 98, SentRate: 1000, ReceivedRate: 999, SnapshotRate: 30,
			Latency: [2]swarm.Latency{{Count: 1, P50: 1500, P99: 9900}},
		},
		{Phase: swarm.Waiting},
		{Phase: swarm.Waiting, Sent: 500, Received: 499},
		{Phase: swarm.Done},
		{Phase: swarm.Done},
	} {
		d.show(p)
	}
	d.close()
	assert.Equal(t, "opening  40 of 100 clients  2 errors\n"+
		"   5s of 1m0s  98 live  up 1000/s  back 999/s  snapshots 30/s  inputs p50 1.5 p99 9.9 ms\n"+
		"waiting  500 sent, 499 back\n", out.String())
}
