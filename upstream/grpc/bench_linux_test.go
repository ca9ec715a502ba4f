package grpc_test

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	gogrpc "google.golang.org/grpc"

	"strait/proto/batch"
	"strait/proto/straitv1"
	"strait/transport"
	"strait/upstream"
	"strait/upstream/endpoint"
	"strait/upstream/grpc"
	"strait/upstream/link"
	"strait/upstream/remote"
	"strait/upstream/upstreamtest"
)

// payload of the benchmarks' messages, in bytes.
const payloadLen = 64

// benchmarkURL is set, to what it is to serve, in a process that is the benchmarks'
// backend: the figures are the gateway's side alone.
const benchmarkURL = "STRAIT_BENCHMARK_URL"

// init is the backend's process; it returns in any other.
func init() {
	scheme, path, ok := strings.Cut(os.Getenv(benchmarkURL), "://")
	if !ok {
		return
	}
	l, err := net.Listen("unix", path)
	if err == nil {
		fmt.Println("listening")
		go func() { // its parent holds the other end
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(0)
		}()
		if scheme == endpoint.GRPC.Unix {
			s := gogrpc.NewServer(gogrpc.ForceServerCodecV2(plain{}))
			s.RegisterService(&description, logicFunc(serveGRPC))
			err = s.Serve(l)
		} else {
			err = serveLink(l)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// peer is a stream on the backend's side. One goroutine receives, one sends.
type peer struct {
	receive func() ([]byte, error) // borrowed until the next one
	send    func(b []byte) error   // b[remote.Headroom:]
}

func serveGRPC(s gogrpc.ServerStream) error {
	var in, out []byte
	err := peer{
		receive: func() ([]byte, error) { err := s.RecvMsg(&in); return in, err },
		send:    func(b []byte) error { out = b[remote.Headroom:]; return s.SendMsg(&out) },
	}.serve()
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func serveLink(l net.Listener) error {
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			var b []byte
			in := bufio.NewReaderSize(conn, 64<<10)
			_ = peer{ // the gateway's side tells
				receive: func() (_ []byte, err error) { b, err = readFrame(in, b); return b, err },
				send: func(b []byte) error {
					binary.BigEndian.PutUint32(b, uint32(len(b)-remote.Headroom))
					_, err := conn.Write(b)
					return err
				},
			}.serve()
		}()
	}
}

// pacing is the channel of a message that asks for messages at a rate.
const pacing = 1

// rate is so many messages at once, each in a batch of its own, every so often.
type rate struct {
	every time.Duration
	burst int
}

func (r rate) append(b []byte) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, uint64(r.every)), uint64(r.burst))
}

func parseRate(b []byte) rate {
	return rate{time.Duration(binary.BigEndian.Uint64(b)), int(binary.BigEndian.Uint64(b[8:]))}
}

// serve echoes, whatever the carrier, until it is asked for more.
func (p peer) serve() error {
	var r batch.GatewayReader
	out := make([]byte, remote.Headroom, 64<<10)
	for {
		in, err := p.receive()
		if err != nil {
			return err
		}
		r.Reset(in)
		out = out[:remote.Headroom]
		if r.Hello() != nil {
			if out, err = batch.AppendLogicHello(out, &straitv1.LogicHello{Version: 1, Name: "echo"}); err != nil {
				return err
			}
		}
		for {
			ev, ok, err := r.Next()
			if err != nil {
				return err
			}
			if !ok {
				break
			}
			if ev.Kind != batch.EventMessage {
				continue
			}
			if ev.Channel == pacing {
				return p.paced(parseRate(ev.Payload))
			}
			out = batch.AppendSendOne(out, ev.Session, ev.Channel, ev.Unreliable, ev.Payload)
		}
		if ping := r.Ping(); ping != 0 {
			out = batch.AppendPong(out, ping)
		}
		if err := p.send(out); err != nil {
			return err
		}
	}
}

// paced sends a message of payloadLen bytes each time that one is due, in open loop,
// until an empty one comes back; then one with the median and the 99th percentile of
// how long after they were due the others came back.
func (p peer) paced(r rate) error {
	latency := hdrhistogram.New(1, int64(10*time.Second), 3)
	ended := make(chan error, 1)
	go func() {
		var r batch.GatewayReader
		for {
			in, err := p.receive()
			if err != nil {
				ended <- err
				return
			}
			r.Reset(in)
			ev, ok, err := r.Next()
			if err != nil || !ok || len(ev.Payload) == 0 {
				ended <- err
				return
			}
			_ = latency.RecordValue(now() - int64(binary.BigEndian.Uint64(ev.Payload))) // within 10 s
		}
	}()
	payload := make([]byte, payloadLen)
	out := make([]byte, remote.Headroom, 256)
	pace := newPace(r.every)
	for {
		select {
		case err := <-ended:
			if err != nil {
				return err
			}
			result := binary.BigEndian.AppendUint64(nil, uint64(latency.ValueAtQuantile(50)))
			result = binary.BigEndian.AppendUint64(result, uint64(latency.ValueAtQuantile(99)))
			return p.send(batch.AppendSendOne(out, 1, 0, false, result))
		default:
		}
		binary.BigEndian.PutUint64(payload, uint64(pace.next()))
		for range r.burst {
			if err := p.send(batch.AppendSendOne(out, 1, 0, false, payload)); err != nil {
				return err
			}
		}
	}
}

// backendProcess starts the benchmarks' backend and returns its URL.
func backendProcess(b *testing.B, scheme string) string {
	b.Helper()
	url := scheme + "://" + filepath.Join(b.TempDir(), "logic.sock")
	self, err := os.Executable()
	require.NoError(b, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), benchmarkURL+"="+url)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	require.NoError(b, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, cmd.Start())
	b.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	_, err = bufio.NewReader(stdout).ReadString('\n')
	require.NoError(b, err)
	return url
}

// carriers are measured beside each other.
var carriers = []struct {
	name, scheme string
	carrier      remote.Carrier
}{
	{"link", endpoint.Link.Unix, link.Carrier{}},
	{"grpc", endpoint.GRPC.Unix, grpc.Carrier{}},
}

// now is the monotonic clock in nanoseconds.
func now() int64 {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) // fails only for bad arguments
	return t.Nano()
}

// pace is an open loop. It sleeps in the kernel, because Go's own timers are up to a
// millisecond late in a process that is idle otherwise.
type pace struct {
	due   int64 // of the next event
	every time.Duration
}

func newPace(every time.Duration) *pace { return &pace{now(), every} }

// next returns when the next event is due, in time of now, after waiting for that.
func (p *pace) next() int64 {
	due := p.due
	p.due += int64(p.every)
	until := unix.NsecToTimespec(due)
	for now() < due {
		_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &until, nil) // or it is interrupted
	}
	return due
}

func cpu() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u) // fails only for bad arguments
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkPaced answers batches of one message of 64 bytes, which another process
// sends over one stream at 12,000 per second in open loop, with such a batch: one at a
// time, or twelve each millisecond. The CPU time is that of the answering process, one Read and one Write; the latency is the
// sender's, from when a message was due. Use -benchtime 36000x.
func BenchmarkPaced(b *testing.B) {
	for _, r := range []rate{{time.Second / 12000, 1}, {time.Millisecond, 12}} {
		for _, c := range carriers {
			b.Run(fmt.Sprintf("burst=%d/%s", r.burst, c.name), func(b *testing.B) {
				paced(b, c.carrier, backendProcess(b, c.scheme), r)
			})
		}
	}
}

func paced(b *testing.B, c remote.Carrier, url string, r rate) {
	e, err := endpoint.Parse(url, c.Schemes())
	require.NoError(b, err)
	s, err := c.Dial(b.Context(), e, e.Path, nil)
	require.NoError(b, err)
	defer s.Close()
	out := make([]byte, remote.Headroom, 256)
	var in batch.LogicReader
	read := func() []byte {
		got, err := s.Read()
		require.NoError(b, err)
		in.Reset(got)
		cmd, ok, err := in.Next()
		require.NoError(b, err)
		require.True(b, ok)
		return cmd.Payload
	}
	require.NoError(b, s.Write(batch.AppendMessage(out, 1, pacing, false, 0, r.append(nil))))
	b.ReportAllocs()
	used, n := cpu(), 0
	for b.Loop() {
		payload := read()
		if err := s.Write(batch.AppendMessage(out, 1, 0, false, 0, payload)); err != nil {
			b.Fatal(err)
		}
		n++
	}
	spent := cpu() - used
	require.NoError(b, s.Write(batch.AppendMessage(out, 1, 0, false, 0, nil)))
	result := read()
	for len(result) == payloadLen { // what was under way
		result = read()
	}
	b.ReportMetric(float64(spent)/1e3/float64(n), "cpu-µs/msg")
	b.ReportMetric(float64(binary.BigEndian.Uint64(result))/1e3, "p50-µs")
	b.ReportMetric(float64(binary.BigEndian.Uint64(result[8:]))/1e3, "p99-µs")
}

// BenchmarkEcho is the way of messages of 64 bytes through the pool, over one stream
// to another process, and back to 64 sessions, saturated: handed to the pool in
// batches of the given size. The figures are those of the gateway's process.
func BenchmarkEcho(b *testing.B) {
	for _, size := range []int{1, 16, 256} {
		for _, c := range carriers {
			b.Run(fmt.Sprintf("batch=%d/%s", size, c.name), func(b *testing.B) {
				saturated(b, c.carrier, backendProcess(b, c.scheme), size)
			})
		}
	}
}

func saturated(b *testing.B, c remote.Carrier, url string, size int) {
	g := upstreamtest.NewGateway(b, 1)
	p, err := remote.New(remote.Config{Backends: []string{url}, Streams: 1, Logger: quiet()}, c)
	require.NoError(b, err)
	g.Attach(p)
	var sessions []*upstreamtest.Session
	for range 64 {
		s := g.Open(upstream.Announcement{})
		s.Discard()
		sessions = append(sessions, s)
	}
	g.Settle()
	last := sessions[len(sessions)-1]
	events := make([]upstream.Event, size)
	payload := make([]byte, payloadLen)
	// Wait for the echo of what was sent a window ago, so that queues stay short.
	const window = 4096
	sent := 0
	b.ReportAllocs()
	used := cpu()
	for b.Loop() {
		for i := range events {
			events[i] = sessions[sent%len(sessions)].BytesEvent(transport.Reliable, 0, payload)
			sent++
		}
		p.Deliver(0, events)
		if behind := (sent - window) / len(sessions); behind > 0 && sent%512 < size {
			last.AwaitDiscarded(behind)
		}
	}
	last.AwaitDiscarded(sent / len(sessions))
	b.ReportMetric(float64(cpu()-used)/float64(sent), "cpu-ns/event")
	b.ReportMetric(float64(sent)/b.Elapsed().Seconds(), "events/s")
}
