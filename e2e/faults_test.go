package e2e

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/proto/straitv1"
)

// bare opens a TCP connection without TLS.
func bare(t testing.TB, gw *process) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", gw.addr)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

// Half-open connections by the thousand: the oldest make room, who plays goes on
// playing, and who comes is let in.
func TestHalfOpenConnections(t *testing.T) {
	t.Parallel()
	const room = 64
	gw := serve(t, fmt.Sprintf("STRAIT_MAX_HANDSHAKES=%d", room), "STRAIT_OPEN_TIMEOUT=1m") // they make room before they are late
	other := accompany(t, gw)
	patient := connect(t, gw) // done with TLS, but not open
	n := scaled(3000)
	for i := range n {
		conn := bare(t, gw)
		switch i % 3 {
		case 1:
			_, _ = conn.Write([]byte{0x16, 3, 1, 0x10}) // a piece of a record
		case 2:
			_, _ = conn.Write([]byte{0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3}) // of a ClientHello
		}
		if i%500 == 0 {
			other.undisturbed(t)
		}
	}
	c := patient.expectClose(cOverloaded)
	assert.NotEmpty(t, c.Reason)
	gw.reaches("strait_evicted_openings_total", float64(n+1-room))
	assert.LessOrEqual(t, gw.metric("strait_unopened_connections"), float64(room))
	join(t, gw).plays()
	gw.falls("strait_tcp_connections", room+2)
	other.undisturbed(t)
}

func TestGarbage(t *testing.T) {
	t.Parallel()
	gw := serve(t)
	other := accompany(t, gw)
	noise := make([]byte, 3000)
	_, _ = rand.Read(noise)
	tlsNoise := append([]byte{0x16, 3, 1, 0x0b, 0xb8}, noise...)
	for i := range scaled(400) {
		conn := bare(t, gw)
		require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
		switch i % 4 {
		case 0:
			_, _ = conn.Write(append([]byte{byte(i)}, noise...))
		case 1:
			_, _ = conn.Write(tlsNoise)
		case 2:
			_, _ = conn.Write([]byte("GET / HTTP/1.1\r\nHost: example\r\n\r\n"))
		case 3:
			_, _ = conn.Write(clientHello()) // the right words without TLS
		}
		_, err := io.Copy(io.Discard, conn)
		netErr, ok := err.(net.Error)
		require.False(t, ok && netErr.Timeout(), "garbage %d is not answered with an end", i%4)
		conn.Close()
	}
	for range scaled(80) {
		p := connect(t, gw)
		noise := make([]byte, 5000)
		_, _ = rand.Read(noise)
		noise[3] &^= 0x80 // else it may be a frame to be skipped
		noise[3] |= 0x40
		p.write(noise)
		p.expectClose(cProtocolError)
	}
	other.undisturbed(t)
	gw.falls("strait_tcp_connections", 1)
	gw.falls(`strait_sessions{transport="tcp"}`, 1)
}

// A client that sends and never reads its echoes is closed TOO_SLOW, and told so
// should he ever read; nobody else waits for him.
func TestSendsAndNeverReads(t *testing.T) { onBothPaths(t, testSendsAndNeverReads) }

func testSendsAndNeverReads(t *testing.T, path string) {
	gw := serve(t, path, "STRAIT_SEND_BUFFER_BYTES=65536")
	other := accompany(t, gw)
	told, from := false, 0
	for attempt := 0; attempt < 5 && !told; attempt++ { // a busy machine may begin to read too late
		p := join(t, gw)
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			big := data(0, make([]byte, 60000))
			for {
				if _, err := p.conn.Write(big); err != nil {
					return
				}
			}
		}()
		_, from = gw.stderr.awaitFrom(t, from, "a log line about the slow client", func(l string) bool {
			return strings.Contains(l, "session closed") && strings.Contains(l, "TOO_SLOW")
		})
		for err := error(nil); err == nil && !told; {
			var f frame
			if f, err = p.next(); err == nil && f.typ == tClose {
				assert.EqualValues(t, cTooSlow, p.closeFrame(f).Code)
				told = true
			}
		}
		other.undisturbed(t)
		p.conn.NetConn().Close()
		<-stopped
		gw.falls("strait_tcp_connections", 1)
	}
	assert.True(t, told, "CLOSE to who reads again")
	gw.reaches(end("TOO_SLOW"), 1)
}

// A client that stops reading for good is gone after a moment, with all he held.
func TestNeverReadsAndNeverLeaves(t *testing.T) { onBothPaths(t, testNeverReadsAndNeverLeaves) }

func testNeverReadsAndNeverLeaves(t *testing.T, path string) {
	gw := serve(t, path, "STRAIT_SEND_BUFFER_BYTES=65536")
	p := join(t, gw)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		big := data(0, make([]byte, 60000))
		for {
			if _, err := p.conn.Write(big); err != nil {
				return
			}
		}
	}()
	gw.reaches(end("TOO_SLOW"), 1)
	gw.falls("strait_tcp_connections", 0)
	gw.falls("strait_buffer_bytes", 0)
	p.conn.NetConn().Close()
	<-stopped
}

// One who floods as fast as he can, and reads what comes back, gets his share of
// the rings; the others get theirs.
func TestFlood(t *testing.T) { onBothPaths(t, testFlood) }

func testFlood(t *testing.T, path string) {
	gw := serve(t, path, "STRAIT_QUEUE_SIZE=256", "STRAIT_SHARDS=1", "STRAIT_SEND_BUFFER_BYTES=67108864")
	other := accompany(t, gw)
	for name, one := range map[string][]byte{
		"reliable":   data(1, []byte("flood")),
		"unreliable": unreliable(1, 0, []byte("flood")),
		"pings":      raw(tPing, []byte("flooding")),
		"skipped":    raw(0x80, []byte("flood")),
	} {
		t.Run(name, func(t *testing.T) {
			p := join(t, gw)
			var chunk []byte
			for range 500 {
				chunk = append(chunk, one...)
			}
			rounds := scaled(400)
			written := make(chan error, 1)
			go func() {
				for range rounds {
					if _, err := p.conn.Write(chunk); err != nil {
						written <- err
						return
					}
				}
				_, err := p.conn.Write(data(2, []byte("done")))
				written <- err
			}()
			echoes, lastSeq := 0, -1
			for {
				f := p.must(t)
				if f.typ == tData && f.channel == 2 {
					break
				}
				if f.typ == tDataUnreliable {
					seq := int(binary.BigEndian.Uint16(f.payload))
					if lastSeq >= 0 {
						assert.Less(t, uint16(seq-lastSeq)-1, uint16(0x7fff), "sequences go up")
					}
					lastSeq = seq
				}
				echoes++
			}
			require.NoError(t, <-written)
			switch name {
			case "reliable", "pings":
				assert.Equal(t, 500*rounds, echoes)
			case "skipped":
				assert.Zero(t, echoes)
			}
			other.undisturbed(t)
		})
	}
}

// must is read for a reader that expects anything but an end.
func (p *player) must(t testing.TB) frame {
	t.Helper()
	f, err := p.read()
	require.NoError(t, err)
	if f.typ == tClose {
		require.Fail(t, "closed: "+p.closeFrame(f).Reason)
	}
	return f
}

// Headers whose bodies never come cost next to nothing, however much they promise.
func TestHeadersWithoutBodies(t *testing.T) { onBothPaths(t, testHeadersWithoutBodies) }

func testHeadersWithoutBodies(t *testing.T, path string) {
	gw := serve(t, path, "STRAIT_IDLE_TIMEOUT=10m") // nobody is idle before the last one is there
	other := accompany(t, gw)
	players := make([]*player, scaled(2000))
	for i := range players {
		players[i] = join(t, gw)
	}
	gw.reaches(`strait_sessions{transport="tcp"}`, float64(len(players)+1))
	before := gw.resident()
	for i, p := range players {
		switch i % 3 {
		case 0:
			p.write(header(tData, maxMessage))
		case 1:
			p.write(header(tDataUnreliable, maxMessage+2), []byte{1})
		case 2:
			p.write(header(tPing, 8)[:3])
		}
	}
	other.undisturbed(t)
	gw.reaches("strait_buffer_bytes", 1)
	held := gw.metric("strait_buffer_bytes")
	assert.LessOrEqual(t, held, float64(len(players)*4096+(1<<20)), "bytes in buffers for promises of 64 KiB each")
	assert.Less(t, gw.resident()-before, len(players)*16384+(64<<20), "bytes of memory")
	for _, p := range players {
		p.lose()
	}
	gw.falls(`strait_sessions{transport="tcp"}`, 1)
	other.undisturbed(t)
}

// Unreliable messages for a client that stops reading give way to newer ones; he
// is not closed for them, and what he reads later goes up to the newest.
func TestUnreliableLatestWins(t *testing.T) { onBothPaths(t, testUnreliableLatestWins) }

func testUnreliableLatestWins(t *testing.T, path string) {
	game := listenLogic(t, playing(silent))
	gw := serve(t, game.env(path)...)
	p, witness := join(t, gw), join(t, gw)
	s, w := game.announced(t, p), game.announced(t, witness)
	snapshot := make([]byte, 1000)
	last := uint32(0)
	for gw.metric(drop("stale")) < 1000 {
		var cs []*straitv1.Command
		for range 1000 {
			last++
			c := reply(binary.BigEndian.AppendUint32(nil, last), s.Session)
			c.GetSend().Payload = append(c.GetSend().Payload, snapshot...)
			c.GetSend().Channel, c.GetSend().Delivery = 5, straitv1.Delivery_DELIVERY_UNRELIABLE
			cs = append(cs, c)
		}
		s.on.command(t, append(cs, reply([]byte("batch"), w.Session))...)
		witness.expectData(0, []byte("batch"))
		require.Less(t, last, uint32(200000), "nothing gave way")
	}
	s.on.command(t, reply([]byte("behind"), s.Session))
	highest, received := uint32(0), 0
	for highest < last {
		f := p.must(t)
		if f.typ != tDataUnreliable {
			continue
		}
		require.EqualValues(t, uint16(received), binary.BigEndian.Uint16(f.payload), "sequence")
		received++
		number := binary.BigEndian.Uint32(f.payload[2:])
		require.Greater(t, number, highest, "an older one behind a newer one")
		highest = number
	}
	assert.Less(t, received, int(last))
	p.write(raw(tPing, make([]byte, 8)))
	for p.must(t).typ != tPong {
	}
}

// Clients that take TLS records apart are refused and no burden.
func TestBrokenTLSRecords(t *testing.T) {
	t.Parallel()
	gw := serve(t, "STRAIT_OPEN_TIMEOUT=2s")
	other := accompany(t, gw)
	var meddling sync.WaitGroup
	for i := range scaled(60) {
		conn := bare(t, gw)
		meddling.Go(func() {
			defer conn.Close()
			c := tls.Client(&meddler{Conn: conn, spare: i * 7}, secure(gw))
			_ = c.SetDeadline(time.Now().Add(patience))
			if c.Handshake() != nil {
				return
			}
			_, _ = c.Write(clientHello())
			_, err := io.Copy(io.Discard, c)
			assert.Error(t, err, "a record that was changed was taken")
		})
	}
	meddling.Wait()
	other.undisturbed(t)
	gw.falls("strait_tcp_connections", 1)
}

// meddler flips a bit of what is written, after some bytes were spared.
type meddler struct {
	net.Conn
	spare int
}

func (m *meddler) Write(p []byte) (int, error) {
	if m.spare >= 0 && m.spare < len(p) {
		p = append([]byte(nil), p...)
		p[m.spare] ^= 0x10
	}
	m.spare -= len(p)
	return m.Conn.Write(p)
}
