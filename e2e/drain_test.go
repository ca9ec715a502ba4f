package e2e

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"strait/proto/straitv1"
)

// drained is what one player saw of a shutdown under load.
type drained struct {
	replies []string
	goAway  *straitv1.GoAway
	code    uint32
}

// load plays until CLOSE: numbered messages, with so many on their way at a time
// that some always are. polite players stop sending at GOAWAY.
func (p *player) load(polite bool) (sent int, seen drained) {
	const window = 64
	tokens := make(chan struct{}, window)
	stop := make(chan struct{})
	var writing sync.WaitGroup
	writing.Go(func() {
		for {
			select {
			case tokens <- struct{}{}:
			case <-stop:
				return
			}
			if _, err := p.conn.Write(data(byte(sent), []byte(strconv.Itoa(sent)))); err != nil {
				return
			}
			sent++
		}
	})
	end := sync.OnceFunc(func() { close(stop); writing.Wait() })
	for {
		f, err := p.next()
		if !assert.NoError(p.t, err, "before CLOSE") {
			break
		}
		switch f.typ {
		case tData:
			seen.replies = append(seen.replies, string(f.payload))
			select {
			case <-tokens:
			default:
			}
			continue
		case tGoAway:
			assert.Nil(p.t, seen.goAway, "one GOAWAY")
			seen.goAway = new(straitv1.GoAway)
			assert.NoError(p.t, proto.Unmarshal(f.payload, seen.goAway))
			if polite {
				end()
			}
			continue
		case tClose:
			seen.code = p.closeFrame(f).Code
		default:
			assert.Fail(p.t, "unexpected frame", "type %#x", f.typ)
		}
		break
	}
	p.conn.NetConn().Close()
	end()
	return sent, seen
}

// SIGTERM under load: every reliable message that was handed to game logic has its
// reply delivered before CLOSE.
func TestDrainUnderLoad(t *testing.T) { onBothPaths(t, testDrainUnderLoad) }

func testDrainUnderLoad(t *testing.T, path string) {
	game := listenLogic(t)
	echoes := serve(t, path, "STRAIT_DRAIN_TIMEOUT=3s")
	linked := serve(t, path, "STRAIT_UPSTREAM="+game.url, "STRAIT_DRAIN_TIMEOUT=3s")
	for _, c := range []struct {
		name   string
		gw     *process
		polite bool
	}{{"echo", echoes, true}, {"link", linked, false}, {"link, polite", serve(t, game.env(path, "STRAIT_DRAIN_TIMEOUT=3s")...), true}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			players := make([]*player, 12)
			for i := range players {
				players[i] = join(t, c.gw)
			}
			sent, seen := make([]int, len(players)), make([]drained, len(players))
			var playing sync.WaitGroup
			for i, p := range players {
				playing.Go(func() { sent[i], seen[i] = p.load(c.polite) })
			}
			c.gw.reaches(`strait_messages_total{delivery="reliable",direction="out"}`, 2000)
			c.gw.signal(syscall.SIGTERM)
			c.gw.logged("draining", func(l string) bool { return strings.Contains(l, "msg=draining") })
			status, why := c.gw.get("/readyz")
			assert.Equal(t, http.StatusServiceUnavailable, status)
			assert.Contains(t, why, "draining")
			status, _ = c.gw.get("/livez")
			assert.Equal(t, http.StatusOK, status)
			playing.Wait()
			assert.Equal(t, 0, c.gw.wait())
			for i, p := range players {
				got := seen[i]
				if assert.NotNil(t, got.goAway, "GOAWAY") {
					assert.EqualValues(t, cDraining, got.goAway.Code)
					assert.EqualValues(t, 3000, got.goAway.DeadlineMs)
				}
				assert.EqualValues(t, cDraining, got.code)
				for k, r := range got.replies {
					require.Equal(t, strconv.Itoa(k), r, "order of the replies")
				}
				if c.polite {
					assert.Equal(t, sent[i], len(got.replies), "all that was sent before GOAWAY is answered")
				}
				if c.name != "echo" {
					e := game.announced(t, p)
					handed := 0
					for _, h := range game.events.all() {
						if h.Session == e.Session && h.on.hello.Gateway == e.on.hello.Gateway && h.GetMessage() != nil {
							handed++
						}
					}
					assert.Equal(t, handed, len(got.replies), "all that was handed to game logic is answered")
				}
			}
		})
	}
}

// The ping behind the last messages is the barrier: a backend that answers it after
// its replies has them delivered.
func TestDrainWaitsForTheAnswerToItsPing(t *testing.T) {
	t.Parallel()
	var held []*straitv1.Command // by the one stream's goroutine
	game := listenLogic(t, playing(func(s *stream, in *straitv1.GatewayBatch) *straitv1.LogicBatch {
		if out := echo(s, in); out != nil {
			held = append(held, out.Commands...)
		}
		if in.Ping == 0 || len(held) == 0 {
			return nil
		}
		out := &straitv1.LogicBatch{Commands: held}
		held = nil
		return out
	}))
	gw := serve(t, game.env()...)
	p := join(t, gw)
	s := game.announced(t, p)
	for i := range 30 {
		p.write(data(1, binary.BigEndian.AppendUint32(nil, uint32(i))))
	}
	game.event(t, "the last message", func(e event) bool {
		m := e.GetMessage()
		return m != nil && e.Session == s.Session && binary.BigEndian.Uint32(m.Payload) == 29
	})
	gw.signal(syscall.SIGTERM)
	before, c := p.untilClose()
	assert.EqualValues(t, cDraining, c.Code)
	p.expectEnd()
	replies := 0
	for _, f := range before {
		if f.typ == tData {
			assert.EqualValues(t, replies, binary.BigEndian.Uint32(f.payload))
			replies++
		}
	}
	assert.Equal(t, 30, replies)
	assert.Equal(t, 0, gw.wait())
	assert.EqualValues(t, cDraining, game.gone(t, s.Session).Code, "game logic hears of the end")
}

// Until the deadline a session goes on, both ways; nobody new comes in; and when
// the last player has left, the gateway does not wait for the deadline.
func TestSessionsGoOnWhileDraining(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		gw := serve(t, "STRAIT_DRAIN_TIMEOUT=5m")
		p, late := join(t, gw), connect(t, gw)
		gw.signal(sig)
		goAway := new(straitv1.GoAway)
		require.NoError(t, proto.Unmarshal(p.expect(tGoAway).payload, goAway))
		assert.EqualValues(t, 5*time.Minute/time.Millisecond, goAway.DeadlineMs)
		for range 10 {
			p.plays()
		}
		p.write(raw(tPing, make([]byte, 8)))
		p.expect(tPong)
		late.write(clientHello())
		late.expectClose(cDraining)
		gw.polls(func() bool {
			conn, err := net.Dial("tcp", gw.addr)
			if err == nil {
				conn.Close()
			}
			return err != nil
		}, "the port is still open")
		p.write(closing(cNormal, "elsewhere"))
		p.expectClose(cNormal)
		assert.Equal(t, 0, gw.wait())
		gw.logged("the last line", func(l string) bool { return strings.Contains(l, "msg=stopped") })
	}
}

// A second signal ends the gateway at once, with the status of a process that
// died of it.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	gw := serve(t, "STRAIT_DRAIN_TIMEOUT=5m")
	p := join(t, gw)
	gw.signal(syscall.SIGTERM)
	p.expect(tGoAway)
	gw.signal(syscall.SIGTERM)
	assert.Equal(t, 128+int(syscall.SIGTERM), gw.wait())
}

// Players who do not read, connections that never open and a backend that hangs do
// not keep a gateway from ending.
func TestDrainEndsWhoeverHoldsOn(t *testing.T) { onBothPaths(t, testDrainEndsWhoeverHoldsOn) }

func testDrainEndsWhoeverHoldsOn(t *testing.T, path string) {
	stuck := make(chan struct{})
	game := listenLogic(t, playing(func(_ *stream, in *straitv1.GatewayBatch) *straitv1.LogicBatch {
		for _, e := range in.Events {
			if e.GetMessage() != nil {
				<-stuck
			}
		}
		return nil
	}))
	t.Cleanup(func() { close(stuck) })
	gw := serve(t, game.env(path)...)
	p := join(t, gw)
	p.write(data(0, []byte("hang")))
	game.event(t, "a message", func(e event) bool { return e.GetMessage() != nil })
	half := join(t, gw)
	half.write(header(tData, 1000))
	connect(t, gw)
	_, _ = bare(t, gw).Write([]byte{0x16})
	gw.signal(syscall.SIGTERM)
	assert.Equal(t, 0, gw.wait())
	_, c := p.untilClose()
	assert.EqualValues(t, cDraining, c.Code)
}

// Signals during the start end it, too.
func TestSignalWhileGameLogicIsAbsent(t *testing.T) {
	t.Parallel()
	gw := serve(t, "STRAIT_UPSTREAM=link+unix://"+socketPath(t))
	p := join(t, gw)
	p.write(data(0, []byte("anybody?")))
	gw.reaches("strait_upstream_waiting_sessions", 1)
	gw.signal(syscall.SIGTERM)
	_, c := p.untilClose()
	assert.Contains(t, []uint32{cDraining, cUpstreamLost}, c.Code, fmt.Sprint(c))
	assert.Equal(t, 0, gw.wait())
}
