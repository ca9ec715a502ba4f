package sealed_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"strait/udp/sealed"
)

// FuzzPacket gives any bytes to every parser and to both ends of a lane, and holds the
// answers to what may be answered.
func FuzzPacket(f *testing.F) {
	p := newPair(f, setup{})
	o := p.offer()
	hello := p.fromClient()[0]
	h, _ := sealed.ParseHello(hello)
	f.Add(hello)
	f.Add(sealed.AppendRetry(nil, h, [24]byte{1}))
	f.Add(sealed.AppendReset(nil, hello, o.ResetValue))
	require.Equal(f, sealed.DropNone, p.toGateway(hello, home))
	p.settle()
	r := newRaw(f, p.session, o)
	r.pn = 3
	f.Add(p.up(1, "hello"))
	f.Add(r.data(msg(1, "x")...))
	b, _, err := p.down(1, "hello")
	require.NoError(f, err)
	f.Add(b)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, pkt []byte) {
		typ, ok := sealed.TypeOf(pkt)
		require.False(t, ok && pkt[0] >= 0x40, "QUIC is never taken for it")
		h, drop := sealed.ParseHello(pkt)
		if drop == sealed.DropNone {
			require.True(t, ok && typ == sealed.TypeHello && len(pkt) == sealed.MaxPacket)
			require.Len(t, h.Cookie, sealed.CookieLen)
			require.NotEmpty(t, h.Token)
			require.Len(t, sealed.AppendRetry(nil, h, [24]byte{}), sealed.RetryLen)
		}
		if cid, cookie, ok := sealed.ParseRetry(pkt); ok {
			require.Equal(t, pkt[1:9], cid[:])
			require.Equal(t, pkt[9:], cookie[:])
		}
		if cid, value, ok := sealed.ParseReset(pkt); ok {
			require.Equal(t, pkt[1:9], cid[:])
			require.Equal(t, pkt[9:], value[:])
		}

		q := newPair(t, setup{}).bind()
		if q.toGateway(pkt, away) != sealed.DropNone {
			require.Empty(t, q.fromGateway(), "what is dropped is not answered")
			require.Equal(t, home, q.lane.Remote())
		}
		drop = q.toClient(pkt)
		out := q.fromClient()
		require.True(t, drop == sealed.DropNone || len(out) == 0)
	})
}

// FuzzFrames seals any frames: they are taken whole as WIRE.md says or not at all, and
// an address that is not proven gets no more than it sent.
func FuzzFrames(f *testing.F) {
	for _, seed := range [][]byte{
		ping, pad, msg(1, "hello"), append(msg(1, "a"), msg(2, "b")...), piece(1, 2, 0, 2, "half"),
		append(append([]byte{}, piece(1, 2, 1, 2, "b")...), piece(1, 2, 0, 2, "a")...),
		append([]byte{0x06}, make([]byte, 12)...), {0x0A, 0, 4}, append([]byte{0x12}, make([]byte, 12)...),
		append([]byte{0x13}, make([]byte, 8)...), append([]byte{0x14}, make([]byte, 8)...),
		append([]byte{0x15}, 0, 0, 0, 1, 0, 0, 0, 2), {0, 0, 0, 1}, {0x7F}, append(append([]byte{}, ping...), 0, 0),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, frames []byte) {
		if len(frames) == 0 || len(frames) > sealed.MaxPacket-13-16 {
			return
		}
		want, messages := naive(frames, sealed.ToGateway)
		p, r := boundRaw(t, setup{})
		pkt := r.data(frames...)
		drop := p.toGateway(pkt, away)
		require.Equal(t, want, drop == sealed.DropNone, drop.String())
		require.Equal(t, messages, texts(p.atLane.take()))
		bytes := 0
		for _, s := range p.fromGateway() {
			require.True(t, want)
			if s.to == away {
				bytes += len(s.pkt)
			}
		}
		require.LessOrEqual(t, bytes, len(pkt))

		want, messages = naive(frames, sealed.ToClient)
		q, s := clientOf(t)
		drop = q.toClient(s.answer(frames...))
		require.Equal(t, want, drop == sealed.DropNone, drop.String())
		require.Equal(t, messages, texts(q.atClient.take()))
		require.True(t, want || len(q.fromClient()) == 0)
	})
}

func texts(all []received) (out []string) {
	for _, m := range all {
		out = append(out, m.text)
	}
	return out
}

// naive is section 6.3's table a second time: whether the frames are taken, and the
// messages, whole or of two pieces, up to a CLOSE.
func naive(b []byte, d sealed.Direction) (ok bool, messages []string) {
	type key struct {
		channel byte
		seq     uint16
		count   byte
	}
	closed := false
	pieces := map[key]map[byte]string{}
	counts := map[[3]byte]byte{}
	simple := true // whether pieces are few enough for this model
	for len(b) > 0 {
		typ, n := b[0], 0
		switch typ {
		case 0:
			for _, v := range b {
				if v != 0 {
					return false, nil
				}
			}
			b = nil
			continue
		case 0x05, 0x13, 0x14, 0x15:
			n = 9
		case 0x06:
			n = 13
		case 0x0A:
			n = 3
		case 0x12:
			if d == sealed.ToGateway {
				return false, nil
			}
			n = 13
		case 0x10:
			if len(b) < 6 {
				return false, nil
			}
			n = 6 + int(b[4])<<8 + int(b[5])
		case 0x11:
			if len(b) < 8 || b[5] < 2 || b[5] > 16 || b[4] >= b[5] {
				return false, nil
			}
			n = 8 + int(b[6])<<8 + int(b[7])
		default:
			return false, nil
		}
		if n > len(b) {
			return false, nil
		}
		switch {
		case closed:
		case typ == 0x0A:
			closed = true
		case typ == 0x10:
			messages = append(messages, string(b[6:n]))
		case typ == 0x11:
			id := [3]byte(b[1:4])
			if c, known := counts[id]; known && c != b[5] {
				break
			}
			counts[id] = b[5]
			k := key{b[1], uint16(b[2])<<8 | uint16(b[3]), b[5]}
			if pieces[k] == nil {
				pieces[k] = map[byte]string{}
				simple = simple && len(pieces) <= 2
			}
			if _, twice := pieces[k][b[4]]; !twice {
				pieces[k][b[4]] = string(b[8:n])
			}
			if len(pieces[k]) == int(b[5]) {
				whole := ""
				for i := range b[5] {
					whole += pieces[k][i]
				}
				messages = append(messages, whole)
				delete(pieces, k)
				delete(counts, id)
			}
		}
		b = b[n:]
	}
	if !simple {
		return true, nil
	}
	return true, messages
}

// FuzzLane lets a client that knows the keys do anything, from anywhere, at any time.
func FuzzLane(f *testing.F) {
	f.Add([]byte{0, 0, 1, 0, 2, 0, 3, 4, 5, 6})
	f.Add([]byte{0, 0, 4, 1, 1, 1, 0, 2, 9, 3, 3, 3, 8, 200, 1, 0})
	f.Add([]byte{0, 0, 1, 0, 7, 0, 8, 250, 8, 250, 5, 1, 6, 0, 1, 1, 2, 2})
	f.Add([]byte("0020020\xfa")) // silence between two challenges
	from := []netip.AddrPort{home, port2, port3, away, away2}
	f.Fuzz(func(t *testing.T, script []byte) {
		p, r := rawPair(t, setup{gateway: sealed.Config{IdleTimeout: 2 * time.Second, Shared: sealed.Shared{EpochPackets: 64, EpochAge: 20 * time.Second}}})
		old := r
		gave, got, proven := map[netip.AddrPort]int{}, map[netip.AddrPort]int{}, map[netip.AddrPort]bool{}
		challenge := map[netip.AddrPort][]byte{}
		send := func(pkt []byte, a netip.AddrPort) {
			if drop := p.toGateway(pkt, a); drop == sealed.DropNone {
				gave[a] += len(pkt)
			}
			if p.lane.Bound() && p.lane.Remote() == a {
				proven[a] = proven[a] || challenge[a] != nil
			}
		}
		for len(script) >= 2 {
			op, arg := script[0], script[1]
			script = script[2:]
			a := from[int(arg)%len(from)]
			switch op % 10 {
			case 0:
				send(r.hello(), a)
			case 1:
				if c := challenge[a]; c != nil {
					send(r.data(append([]byte{0x14}, c...)...), a)
				}
			case 2:
				send(r.data(append(msg(uint16(arg), "x"), ping...)...), a)
			case 3:
				send(r.data(append([]byte{0x13}, make([]byte, 8)...)...), a)
			case 4:
				send(r.data(piece(arg, uint16(arg)/3, arg%4, 4, "piece")...), a)
			case 5:
				send(old.data(ping...), a)
			case 6:
				send(r.data(0x0A, 0, arg), a)
			case 7:
				if o, err := p.lane.Offer(home, p.now); err == nil {
					old, r = r, newRaw(t, p.session, o)
				}
			case 8:
				p.now = p.now.Add(time.Duration(arg) * 10 * time.Millisecond)
				p.lane.Tick(p.now)
			case 9:
				if b, to, err := p.down(1, string(make([]byte, arg))); err == nil {
					got[to] += len(b)
				}
			}
			for _, s := range p.fromGateway() {
				got[s.to] += len(s.pkt)
				for _, k := range []*raw{r, old} {
					if s.pkt[0] == 0x12|k.key() {
						if c, ok := k.tryOpen(s.pkt)[0x13]; ok {
							challenge[s.to] = c
						}
					}
				}
			}
			p.atLane.take()
			for to, n := range got {
				require.True(t, proven[to] || n <= gave[to], "%v got %d for %d", to, n, gave[to])
			}
			d := p.lane.Deadline()
			require.True(t, d.IsZero() || d.After(p.now), "the deadline is in the past")
			if p.lane.Bound() {
				require.True(t, p.lane.Remote().IsValid())
			}
		}
	})
}

// FuzzClient lets a gateway that knows the keys do anything at any time.
func FuzzClient(f *testing.F) {
	f.Add([]byte{0, 0, 1, 1, 2, 2, 3, 3})
	f.Add([]byte{0, 0, 5, 0, 1, 1, 6, 200, 6, 200, 6, 200})
	f.Fuzz(func(t *testing.T, script []byte) {
		p := newPair(t, setup{client: sealed.ClientConfig{Shared: sealed.Shared{EpochPackets: 64, EpochAge: 20 * time.Second}}})
		o := p.offer()
		s := newRaw(t, p.session, o).gateway()
		for len(script) >= 2 {
			op, arg := script[0], script[1]
			script = script[2:]
			switch op % 8 {
			case 0:
				p.toClient(s.answer(append([]byte{0x12}, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, arg, 0)...))
			case 1:
				p.toClient(s.answer(append(msg(uint16(arg), "x"), ping...)...))
			case 2:
				p.toClient(s.answer(append([]byte{0x13}, make([]byte, 8)...)...))
			case 3:
				p.toClient(s.answer(0x0A, 0, arg))
			case 4:
				h, _ := sealed.ParseHello(newRaw(t, p.session, o).hello())
				p.toClient(sealed.AppendRetry(nil, h, [24]byte{arg}))
			case 5:
				o.Epoch += 1 + arg%2
				o.Secret[0]++
				require.NoError(t, p.client.Offer(o, p.now))
				s = newRaw(t, p.session, o).gateway()
			case 6:
				p.now = p.now.Add(time.Duration(arg) * 10 * time.Millisecond)
				p.client.Tick(p.now)
			case 7:
				p.toClient(append([]byte{0x13}, append(o.CID[:], o.ResetValue[:]...)...))
			}
			require.Less(t, len(p.fromClient()), 5)
			d := p.client.Deadline()
			require.True(t, d.IsZero() || d.After(p.now), "the deadline is in the past")
			if p.client.Bound() {
				p.up(1, "x")
			}
			p.atClient.take()
		}
	})
}
