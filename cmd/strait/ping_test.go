package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/client"
	"strait/client/clienttest"
	"strait/proto/straitv1"
	"strait/transport"
)

// ping runs the command as main does, with the arguments behind "ping".
func ping(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var c struct {
		Ping pingCmd `cmd:""`
	}
	var out bytes.Buffer
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	parser, err := kong.New(&c, kong.Exit(func(int) { t.Error("kong wanted to exit") }),
		kong.Writers(&out, &out), kong.BindTo(&out, (*io.Writer)(nil)), kong.BindTo(ctx, (*context.Context)(nil)))
	require.NoError(t, err)
	k, err := parser.Parse(append([]string{"ping"}, args...))
	if err != nil {
		return "", err
	}
	err = k.Run()
	return out.String(), err
}

func pingGateway(t *testing.T, c clienttest.Config) *clienttest.Gateway {
	t.Helper()
	g, err := clienttest.New(c)
	require.NoError(t, err)
	t.Cleanup(func() { _ = g.Close() })
	return g
}

func TestPingPrintsATableAndSaysWhatWasNotVerified(t *testing.T) {
	g := pingGateway(t, clienttest.Config{})
	out, err := ping(t, g.Addr(), "-n", "3", "--interval", "1ms")
	require.NoError(t, err)
	lines := strings.Split(strings.TrimRight(out, "\n"), "\n")
	require.Len(t, lines, 9, out)
	assert.Equal(t, []string{"transport", "answered", "rtt", "min", "median", "p99", "max", "open", "resolve", "connect", "tls", "hello"}, strings.Fields(lines[0]))
	row := strings.Fields(lines[1])
	require.Len(t, row, 11)
	assert.Equal(t, []string{"tcp", "3/3"}, row[:2])
	for _, cell := range row[2:] {
		assert.Regexp(t, `^\d+\.\d{3}$`, cell)
	}
	assert.Equal(t, len(lines[0]), len(lines[1]), "columns are aligned")
	assert.Equal(t, "times in milliseconds", lines[2])
	assert.Contains(t, lines[3], "quic: no answer: ")
	assert.Regexp(t, `^tcp: `+regexp.QuoteMeta(g.Addr())+`, session [0-9a-f]{32}$`, lines[4])
	assert.Equal(t, "tcp: no UDP lane: the gateway offers none", lines[5])
	assert.Contains(t, lines[6], "NOT VERIFIED")
	assert.Contains(t, lines[8], "--pin "+g.Pin())
	assert.Equal(t, 2, g.Accepted())
}

func TestPingShowsEveryTransport(t *testing.T) {
	l, packets, err := clienttest.Listen()
	require.NoError(t, err)
	g := pingGateway(t, clienttest.Config{Listener: l, PacketConn: packets, UDP: true})
	out, err := ping(t, g.Addr(), "-n", "3", "--interval", "1ms", "--pin", g.Pin())
	require.NoError(t, err)
	assert.Regexp(t, `(?m)^ *quic +3/3 `, out)
	assert.Regexp(t, `(?m)^ *tcp\+udp +3/3 `, out)
	assert.Regexp(t, `(?m)^tcp\+udp: UDP lane to 127\.0\.0\.1:\d+, bound after \d+\.\d{3}, rtt \d+\.\d{3} ± \d+\.\d{3}, loss 0\.00 %$`, out)

	out, err = ping(t, "--json", g.Addr(), "-n", "1", "--pin", g.Pin(), "--transport", "tcp+udp")
	require.NoError(t, err)
	var r pingReport
	require.NoError(t, json.Unmarshal([]byte(out), &r))
	require.Len(t, r.Transports, 1)
	lane := r.Transports[0].Lane
	require.NotNil(t, lane)
	assert.True(t, lane.Offered && lane.Bound)
	assert.Positive(t, lane.RTT)
}

func TestPingOfAVerifiedServerSaysNothingOfTheCertificate(t *testing.T) {
	g := pingGateway(t, clienttest.Config{})
	ca := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: g.Certificate().Raw}), 0o600))
	for _, flags := range [][]string{{"--pin", g.Pin()}, {"--ca", ca}, {"--ca", ca, "--server-name", "localhost", "--transport", "tcp"}} {
		out, err := ping(t, append(flags, g.Addr(), "-n", "1")...)
		require.NoError(t, err)
		assert.NotContains(t, out, "VERIFIED")
	}
}

func TestPingReportsAsJSON(t *testing.T) {
	g := pingGateway(t, clienttest.Config{})
	out, err := ping(t, "--json", g.Addr(), "-n", "5", "--interval", "0s")
	require.NoError(t, err)
	var r pingReport
	require.NoError(t, json.Unmarshal([]byte(out), &r))
	assert.Equal(t, g.Addr(), r.Address)
	require.Len(t, r.Transports, 2)
	assert.Equal(t, "quic", r.Transports[0].Transport)
	assert.NotEmpty(t, r.Transports[0].Error)
	got := r.Transports[1]
	assert.Equal(t, "tcp", got.Transport)
	assert.Equal(t, g.Addr(), got.Remote)
	assert.Equal(t, g.Pin(), got.Certificate)
	assert.False(t, got.Verified)
	assert.NotEmpty(t, got.Unverified)
	assert.Equal(t, [2]int{5, 5}, [2]int{got.Sent, got.Answered})
	assert.Empty(t, got.Error+got.Failed)
	require.NotNil(t, got.RTT)
	assert.Positive(t, got.RTT.Min)
	assert.LessOrEqual(t, got.RTT.Min, got.RTT.Median)
	assert.LessOrEqual(t, got.RTT.Median, got.RTT.P99)
	assert.LessOrEqual(t, got.RTT.P99, got.RTT.Max)
	require.NotNil(t, got.Open)
	assert.InDelta(t, got.Open.Total, got.Open.Resolve+got.Open.Connect+got.Open.TLS+got.Open.Hello, 0.01)
}

func TestPingFailsWhenNothingAnswers(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	out, err := ping(t, l.Addr().String())
	assert.ErrorContains(t, err, "answers: quic: ")
	assert.ErrorContains(t, err, "is the gateway running")
	assert.Empty(t, out, "the error tells it all")

	out, err = ping(t, l.Addr().String(), "--json")
	require.Error(t, err)
	var r pingReport
	require.NoError(t, json.Unmarshal([]byte(out), &r))
	assert.Contains(t, r.Transports[0].Error, "connect")
	assert.False(t, r.Transports[0].Verified)
}

func TestPingSendsATokenOnlyToAVerifiedServer(t *testing.T) {
	tokens := make(chan string, 10)
	g := pingGateway(t, clienttest.Config{Hello: func(h *straitv1.ClientHello, _ *straitv1.ServerHello) error {
		tokens <- string(h.GetAuthToken())
		return nil
	}})
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte("\n from a file \n"), 0o600))
	_, err := ping(t, g.Addr(), "--token", "secret")
	var verify *client.VerifyError
	require.ErrorAs(t, err, &verify)
	require.ErrorContains(t, err, "the token was not sent")
	require.Empty(t, tokens)
	_, err = ping(t, g.Addr(), "-n", "1", "--token", "secret", "--pin", g.Pin(), "--transport", "tcp")
	require.NoError(t, err)
	assert.Equal(t, "secret", <-tokens)
	_, err = ping(t, g.Addr(), "-n", "1", "--token-file", file, "--pin", g.Pin(), "--transport", "tcp")
	require.NoError(t, err)
	assert.Equal(t, "from a file", <-tokens)
}

// wantsCertificate is a gateway that takes clients with the certificate in a file alone.
func wantsCertificate(t *testing.T) (g *clienttest.Gateway, cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "player.pem"), filepath.Join(dir, "player.key")
	require.NoError(t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600))
	l, packets, err := clienttest.Listen()
	require.NoError(t, err)
	return pingGateway(t, clienttest.Config{Listener: l, PacketConn: packets, TLS: func(c *tls.Config) {
		c.ClientAuth = tls.RequireAnyClientCert
		c.VerifyPeerCertificate = func(raw [][]byte, _ [][]*x509.Certificate) error {
			if !bytes.Equal(raw[0], der) {
				return errors.New("a stranger's")
			}
			return nil
		}
	}}), cert, key
}

func TestPingShowsACertificate(t *testing.T) {
	g, cert, key := wantsCertificate(t)
	out, err := ping(t, g.Addr(), "-n", "1", "--pin", g.Pin(), "--cert", cert, "--key", key)
	require.NoError(t, err)
	assert.Regexp(t, `(?m)^ *quic +1/1 `, out)
	assert.Regexp(t, `(?m)^ *tcp +1/1 `, out)

	_, err = ping(t, g.Addr(), "-n", "1", "--pin", g.Pin())
	var refused *client.ClientCertificateError
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, 2, strings.Count(err.Error(), "the gateway wants a certificate of the client"), "%v", err)

	_, strange, strangeKey := wantsCertificate(t)
	_, err = ping(t, g.Addr(), "-n", "1", "--pin", g.Pin(), "--cert", strange, "--key", strangeKey)
	assert.ErrorContains(t, err, "the gateway refused the client's certificate")
	_, err = ping(t, g.Addr(), "--cert", strange, "--key", key)
	assert.ErrorContains(t, err, "--cert "+strange+", --key "+key+": ", "a key of another certificate")
}

func TestPingSaysWhyPingsWereNotAnswered(t *testing.T) {
	g := pingGateway(t, clienttest.Config{Opened: func(s *clienttest.Session) {
		s.Close(transport.Because(transport.Kicked, "no pings here"))
	}})
	out, err := ping(t, g.Addr(), "-n", "100000", "--interval", "0s", "--pin", g.Pin())
	if err == nil { // some were quicker than the CLOSE
		assert.Contains(t, out, "no pings here")
		return
	}
	assert.ErrorIs(t, err, transport.Kicked)
}

func TestPingWaitsNoLongerThanItsTimeout(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer silent.Close()
	started := time.Now()
	_, err = ping(t, silent.Addr().String(), "--timeout", "50ms")
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	assert.Less(t, time.Since(started), 20*time.Second)
}

func TestPingIsNotHeldUpByWhatGameLogicSends(t *testing.T) {
	g := pingGateway(t, clienttest.Config{Opened: func(s *clienttest.Session) {
		for range 100 {
			s.Send(client.Reliable, 0, make([]byte, 60000))
		}
	}})
	out, err := ping(t, g.Addr(), "-n", "2", "--pin", g.Pin())
	require.NoError(t, err)
	assert.Contains(t, out, "2/2")
}

func TestPingRefusesWhatMakesNoSense(t *testing.T) {
	for text, args := range map[string][]string{
		"at least 1 ping":     {"-n", "0"},
		"cannot be negative":  {"--interval=-1s"},
		"has to be above 0":   {"--timeout", "0s"},
		"--transport":         {"--transport", "carrier-pigeon"},
		"can't be used":       {"--pin", "x", "--ca", "y"},
		"can't be used toget": {"--token", "x", "--token-file", "y"},
		"--token-file":        {"--token-file", filepath.Join(t.TempDir(), "none")},
		"not a SHA-256":       {"--pin", "abc"},
		"--cert and --key":    {"--cert", "x"},
		"--key":               {"--key", "y"},
		"--cert ":             {"--cert", filepath.Join(t.TempDir(), "none"), "--key", "y"},
	} {
		_, err := ping(t, append(args, "127.0.0.1:1")...)
		assert.ErrorContains(t, err, text)
	}
}

func TestPercentilesAreExactSamples(t *testing.T) {
	var samples []time.Duration
	for i := range 200 {
		samples = append(samples, time.Duration(i+1))
	}
	for pct, want := range map[int]time.Duration{1: 2, 50: 100, 99: 198, 100: 200} {
		assert.Equal(t, want, percentile(samples, pct))
	}
	assert.Equal(t, time.Duration(1), percentile(samples[:1], 99))
	assert.Equal(t, time.Duration(2), percentile(samples[:3], 50))
	assert.Equal(t, time.Duration(10), percentile(samples[:10], 99))
}
