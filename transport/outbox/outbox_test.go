package outbox_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/transport"
	"strait/transport/outbox"
)

// box is a queue with a pool that must be empty at the end.
type box struct {
	*outbox.Queue
	t    testing.TB
	pool *transport.Pool
}

func newBox(t testing.TB, c outbox.Config) box {
	b := box{new(outbox.Queue), t, transport.NewPool(0, nil)}
	b.Init(c)
	t.Cleanup(func() {
		b.Drop()
		assert.Zero(t, b.pool.Live(), "buffers that nobody released")
		assert.Zero(t, b.Bytes())
		assert.True(t, b.Empty())
	})
	return b
}

func (b box) push(d transport.Delivery, channel uint8, payload string) (int, error) {
	return b.Push(transport.Message{Delivery: d, Channel: channel, Buf: b.pool.Copy([]byte(payload))})
}

func (b box) must(d transport.Delivery, channel uint8, payload string) int {
	b.t.Helper()
	dropped, err := b.push(d, channel, payload)
	require.NoError(b.t, err)
	return dropped
}

// pull returns "channel:payload" of what it takes, with "#seq" behind unreliable ones.
func (b box) pull(d transport.Delivery, channel, budget int) []string {
	var got []string
	for _, m := range b.Pull(nil, d, channel, budget) {
		s := fmt.Sprintf("%d:%s", m.Channel, m.Buf.B)
		if m.Delivery == transport.Unreliable {
			s += fmt.Sprintf("#%d", m.Seq)
		}
		got = append(got, s)
		m.Buf.Release()
	}
	return got
}

const (
	rel = transport.Reliable
	unr = transport.Unreliable
	all = 1 << 20
)

func TestReliableLimit(t *testing.T) {
	b := newBox(t, outbox.Config{ReliableBytes: 2*outbox.Overhead + 10})
	b.must(rel, 1, "12345")
	b.must(rel, 1, "12345")
	assert.Equal(t, 2*outbox.Overhead+10, b.Bytes())
	_, err := b.push(rel, 1, "")
	require.ErrorIs(t, err, outbox.ErrFull)
	assert.Zero(t, b.must(unr, 1, "has a limit of its own"))
	assert.Equal(t, []string{"1:12345"}, b.pull(rel, transport.AnyChannel, 1))
	b.must(rel, 1, "1234")
	assert.Equal(t, []string{"1:12345", "1:1234"}, b.pull(rel, transport.AnyChannel, all))
}

func TestEmptyMessagesAreBoundedToo(t *testing.T) {
	b := newBox(t, outbox.Config{})
	n := 0
	for ; ; n++ {
		if _, err := b.push(rel, 0, ""); err != nil {
			break
		}
	}
	assert.Equal(t, 256<<10/outbox.Overhead, n)
	assert.Len(t, b.pull(rel, transport.AnyChannel, 80), 10, "a budget bounds them, too: 8 bytes of framing each")
}

func TestLatestWins(t *testing.T) {
	b := newBox(t, outbox.Config{})
	assert.Zero(t, b.must(unr, 1, "a"))
	assert.Zero(t, b.must(unr, 2, "b"))
	assert.Equal(t, 1, b.must(unr, 1, "longer than before"))
	assert.Equal(t, 1, b.must(unr, 2, ""))
	assert.Equal(t, len("longer than before")+2*outbox.Overhead, b.Bytes())
	assert.Equal(t, []string{"1:longer than before#0", "2:#0"}, b.pull(unr, transport.AnyChannel, all))
	b.must(unr, 1, "c")
	assert.Equal(t, []string{"1:c#1"}, b.pull(unr, transport.AnyChannel, all), "numbers are given when taken")
}

func TestLatestWinsKeepsToItsLimit(t *testing.T) {
	const limit = 3*outbox.Overhead + 30
	b := newBox(t, outbox.Config{UnreliableBytes: limit})
	b.must(unr, 1, "1234567890")
	b.must(unr, 2, "1234567890")
	b.must(unr, 3, "1234567890")
	assert.Equal(t, 2, b.must(unr, 2, "12345678901"), "its own predecessor and the oldest")
	assert.LessOrEqual(t, b.Bytes(), limit)
	assert.Equal(t, []string{"3:1234567890#0", "2:12345678901#0"}, b.pull(unr, transport.AnyChannel, all))
}

func TestDropsTheOldest(t *testing.T) {
	b := newBox(t, outbox.Config{UnreliableBytes: 3 * (outbox.Overhead + 1)})
	b.SetDatagrams(true)
	for i := range 5 {
		want := 0
		if i >= 3 {
			want = 1
		}
		assert.Equal(t, want, b.must(unr, 1, fmt.Sprint(i)))
	}
	assert.Equal(t, []string{"1:2#0", "1:3#1", "1:4#2"}, b.pull(unr, transport.AnyChannel, all))
	b.must(unr, 1, "x")
	b.must(unr, 1, "y")
	assert.Equal(t, 2, b.must(unr, 2, string(make([]byte, 5000))), "too long for company")
	assert.Len(t, b.pull(unr, transport.AnyChannel, 1), 1)
}

func TestLosingTheDatagramLanePrunes(t *testing.T) {
	b := newBox(t, outbox.Config{})
	assert.Zero(t, b.SetDatagrams(true))
	for i, channel := range []uint8{1, 200, 1, 63, 64, 1, 200, 7} {
		b.must(unr, channel, fmt.Sprint(i))
	}
	assert.Equal(t, 3, b.SetDatagrams(false))
	assert.Equal(t, 5*(outbox.Overhead+1), b.Bytes())
	assert.Equal(t, []string{"63:3#0", "64:4#0", "1:5#0", "200:6#0", "7:7#0"}, b.pull(unr, transport.AnyChannel, all))
	assert.Zero(t, b.SetDatagrams(false))
}

func TestPullOfOneChannel(t *testing.T) {
	b := newBox(t, outbox.Config{})
	for i := range 9 {
		b.must(rel, uint8(i%3), fmt.Sprint(i))
	}
	assert.Equal(t, []string{"1:1", "1:4", "1:7"}, b.pull(rel, 1, all))
	assert.Empty(t, b.pull(rel, 1, all))
	assert.Equal(t, []string{"2:2", "2:5"}, b.pull(rel, 2, 2*(1+8)))
	assert.Equal(t, []string{"0:0", "0:3", "0:6", "2:8"}, b.pull(rel, transport.AnyChannel, all))
}

func TestChannels(t *testing.T) {
	b := newBox(t, outbox.Config{ReliableBytes: 1 << 20})
	assert.Empty(t, b.Channels(nil))
	for i := range 512 {
		b.must(rel, uint8(255-i%256), fmt.Sprint(i))
	}
	got := b.Channels([]uint8{7})
	require.Len(t, got, 257)
	assert.EqualValues(t, 7, got[0], "appended")
	seen := map[uint8]bool{}
	for _, channel := range got[1:] {
		assert.False(t, seen[channel], "channel %d twice", channel)
		seen[channel] = true
		if channel != 3 {
			assert.Len(t, b.pull(rel, int(channel), all), 2)
		}
	}
	b.must(unr, 9, "of no interest")
	assert.Equal(t, []uint8{3}, b.Channels(nil))
	assert.Equal(t, []string{"3:252", "3:508"}, b.pull(rel, transport.AnyChannel, all))
	assert.Empty(t, b.Channels(nil))
}

func TestPending(t *testing.T) {
	b := newBox(t, outbox.Config{})
	for _, d := range []transport.Delivery{rel, unr} {
		assert.False(t, b.Pending(d))
		b.must(d, 1, "")
		assert.True(t, b.Pending(d), "empty messages, too")
		assert.False(t, b.Empty())
		b.pull(d, transport.AnyChannel, all)
		assert.False(t, b.Pending(d))
		assert.True(t, b.Empty())
	}
}

// The order over all channels holds whatever was pulled of single ones before.
func TestAnyChannelKeepsTheOrderAroundHoles(t *testing.T) {
	b := newBox(t, outbox.Config{ReliableBytes: 1 << 20})
	for i := range 10 {
		b.must(rel, uint8(i%5), fmt.Sprint(i))
	}
	assert.Equal(t, []string{"0:0", "0:5"}, b.pull(rel, 0, all))
	assert.Equal(t, []string{"2:2"}, b.pull(rel, 2, 1))
	for i := 10; i < 20; i++ {
		b.must(rel, uint8(i%5), fmt.Sprint(i))
	}
	assert.Equal(t, []string{"3:3", "3:8", "3:13", "3:18"}, b.pull(rel, 3, all))
	assert.Equal(t, []string{
		"1:1", "4:4", "1:6", "2:7", "4:9", "0:10", "1:11", "2:12", "4:14", "0:15", "1:16", "2:17", "4:19",
	}, b.pull(rel, transport.AnyChannel, all))
}

func TestPullTakesAtLeastOneMessage(t *testing.T) {
	b := newBox(t, outbox.Config{})
	b.must(rel, 1, "long enough")
	b.must(rel, 1, "b")
	assert.Equal(t, []string{"1:long enough"}, b.pull(rel, transport.AnyChannel, 3))
	assert.Equal(t, []string{"1:b"}, b.pull(rel, transport.AnyChannel, 3))
	assert.Empty(t, b.pull(rel, transport.AnyChannel, 3))
}

func TestSealAndDrop(t *testing.T) {
	b := newBox(t, outbox.Config{})
	b.must(rel, 1, "a")
	b.must(unr, 1, "b")
	b.must(unr, 2, "c")
	b.Seal()
	for _, d := range []transport.Delivery{rel, unr} {
		_, err := b.push(d, 3, "late")
		require.ErrorIs(t, err, outbox.ErrSealed)
	}
	assert.Equal(t, []string{"1:a"}, b.pull(rel, transport.AnyChannel, all), "what is queued can still be pulled")
	reliable, unreliable := b.Drop()
	assert.Equal(t, 0, reliable)
	assert.Equal(t, 2, unreliable)
	_, err := b.push(rel, 1, "never")
	require.ErrorIs(t, err, outbox.ErrSealed)
}

func TestFromManyGoroutines(t *testing.T) {
	b := newBox(t, outbox.Config{ReliableBytes: 1 << 30})
	const goroutines, each = 4, 2000
	var pushing sync.WaitGroup
	for g := range goroutines {
		pushing.Go(func() {
			for i := range each {
				_, _ = b.push(rel, uint8(g), fmt.Sprint(i))
				_, _ = b.push(unr, uint8(g), fmt.Sprint(i))
				if i%100 == 0 {
					b.SetDatagrams(i%200 == 0)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() {
		pushing.Wait()
		close(done)
	}()
	var next [goroutines]int
	for finished := false; !finished || !b.Empty(); {
		select {
		case <-done:
			finished = true
		default:
		}
		for _, m := range b.Pull(nil, rel, transport.AnyChannel, 500) {
			require.Equal(t, fmt.Sprint(next[m.Channel]), string(m.Buf.B))
			next[m.Channel]++
			m.Buf.Release()
		}
		b.pull(unr, transport.AnyChannel, 500)
	}
	for g := range next {
		assert.Equal(t, each, next[g])
	}
}
