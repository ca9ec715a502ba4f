package tcp_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/tcp"
	"strait/transport"
)

// cork is a connection that keeps what is written back once it is stopped.
type cork struct {
	*net.TCPConn
	mu    sync.Mutex
	after int // writes that still pass; negative: all
	kept  []byte
}

func (c *cork) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.after == 0 {
		c.kept = append(c.kept, b...)
		return len(b), nil
	}
	c.after--
	return c.TCPConn.Write(b)
}

// SetWriteDeadline does nothing: close_notify would leave one that has passed.
func (c *cork) SetWriteDeadline(time.Time) error { return nil }

func (c *cork) stop() {
	c.mu.Lock()
	c.after = 0
	c.mu.Unlock()
}

// let sends the first n bytes of what was kept in one piece.
func (c *cork) let(t *testing.T, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := c.TCPConn.Write(c.kept[:n])
	require.NoError(t, err)
	c.kept = c.kept[n:]
}

func (s *site) corked(writes int) (*caller, *cork) {
	s.t.Helper()
	raw, err := net.Dial("tcp", s.listener.Addr().String())
	require.NoError(s.t, err)
	k := &cork{TCPConn: raw.(*net.TCPConn), after: writes}
	cfg := clientTLS()
	cfg.DynamicRecordSizingDisabled = true // a record for each Write
	cfg.MaxVersion = s.version
	st := stream{Conn: tls.Client(k, cfg), raw: k.TCPConn}
	c := s.caller(st)
	require.NoError(s.t, st.Handshake())
	return c, k
}

// numbered are n messages of a few bytes to a few hundred.
func numbered(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprint(i, strings.Repeat(".", i*37%300))
	}
	return all
}

// What crypto/tls held when the connection moved, decrypted or not, no event of
// epoll will ever tell of.
func TestLoopTakesWhatWasBuffered(t *testing.T) {
	messages := numbered(100)
	all := [][]byte{clientHello}
	for _, m := range messages {
		all = append(all, data(m))
	}
	all = append(all, goodbye())
	var stream []byte
	for _, f := range all {
		stream = append(stream, f...)
	}
	pieces := func(size int) (ps [][]byte) {
		for rest := stream; len(rest) > 0; rest = rest[min(size, len(rest)):] {
			ps = append(ps, rest[:min(size, len(rest))])
		}
		return ps
	}
	bothWays(t, func(t *testing.T) {
		for _, c := range []struct {
			name    string
			records [][]byte
			passing int // writes of the handshake before everything is kept back; negative: all
		}{
			{"one record", pieces(len(stream)), -1},
			{"a record for each frame, one segment", all, -1},
			{"records in the middle of frames", pieces(101), -1},
			{"two records", pieces((len(stream) + 1) / 2), -1},
			{"records of single bytes, then the rest", append(pieces(1)[:20:20], stream[20:]), -1},
			{"in the segment that ends the handshake", pieces(1000), 1},
		} {
			t.Run(c.name, func(t *testing.T) {
				for quarters := range 5 { // that come after the switch
					s := newSite(t, siteConfig{})
					opened := make(chan struct{})
					s.behave = func(e *ear) {
						if quarters > 0 {
							e.hello = func() { close(opened) }
						}
					}
					client, k := s.corked(c.passing)
					k.stop()
					before, plain := 0, 0
					for i, r := range c.records {
						client.send(r)
						plain += len(r)
						if plain-len(r) < len(clientHello) || i < len(c.records)*(4-quarters)/4 {
							before = len(k.kept)
						}
					}
					if before < len(k.kept) && quarters%2 == 1 {
						before += 3 // and a piece of the next record
					}
					k.let(t, before)
					e := s.ear()
					if quarters > 0 {
						// The rest is in the socket when the connection moves.
						s.wait(opened, "CLIENT_HELLO")
						k.let(t, len(k.kept))
						e.open()
					}
					client.serverHello()
					assert.Equal(t, transport.Normal, client.closed())
					require.NoError(t, client.Close())
					assert.True(t, tcp.Moved(e.conn))
					assert.True(t, e.ended(t).Remote)
					assert.Equal(t, messages, e.heard(t, len(messages)))
				}
			})
		}
	})
}

// A record that the switch cuts in two is completed on the loop.
func TestLoopCompletesARecord(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		for _, size := range []int{10, 300, 16000} {
			for _, at := range []int{1, 4, 5, 6, -1} { // of the record, negative from its end
				s := newSite(t, siteConfig{})
				s.behave = func(e *ear) { e.echo = true }
				client, k := s.corked(-1)
				k.stop()
				client.send(clientHello)
				whole := len(k.kept)
				message := strings.Repeat("x", size)
				client.send(data(message))
				if at < 0 {
					at += len(k.kept) - whole
				}
				k.let(t, whole+at)
				client.serverHello()
				k.let(t, len(k.kept))
				require.Equal(t, []string{message}, s.ear().heard(t, 1))
			}
		}
	})
}
