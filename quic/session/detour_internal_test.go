package session

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"strait/transport"
)

func TestDetour(t *testing.T) {
	pool := transport.NewPool(0, nil)
	message := func(channel uint8, seq uint16, n int) transport.Message {
		return transport.Message{
			Delivery: transport.Unreliable, Channel: channel, Seq: seq, Buf: pool.Copy([]byte(strings.Repeat("x", n))),
		}
	}
	pulled := func(d *detour, budget int) (seqs []uint16) {
		for _, m := range d.pull(nil, budget) {
			seqs = append(seqs, m.Seq)
			m.Buf.Release()
		}
		return seqs
	}
	var d detour
	assert.Zero(t, d.push(message(1, 10, 1000)))
	assert.Zero(t, d.push(message(2, 20, 1000)))
	assert.Equal(t, 1, d.push(message(1, 11, 1000)), "the newest of a channel wins")
	assert.Equal(t, []uint16{20}, pulled(&d, 1500))
	assert.Equal(t, []uint16{11}, pulled(&d, 1), "one goes whatever the budget")
	assert.Empty(t, pulled(&d, 1500))

	dropped := 0
	for i := range 200 {
		dropped += d.push(message(uint8(i), uint16(i), 1000))
	}
	assert.Equal(t, 200-detourBytes/1000, dropped, "the oldest give way")
	assert.EqualValues(t, dropped, pulled(&d, 1)[0])
	assert.Equal(t, 199-dropped, d.drop())
	assert.Zero(t, d.bytes)
	assert.Zero(t, pool.Live())
}
