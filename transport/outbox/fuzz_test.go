package outbox_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"strait/transport"
	"strait/transport/outbox"
)

const (
	modelReliable   = 20 * outbox.Overhead
	modelUnreliable = 12 * outbox.Overhead
)

// model is the queue written a second time and naively.
type model struct {
	queue     [2][]modelMessage // by delivery
	datagrams bool
	sealed    bool
	seqs      map[uint8]uint16
}

type modelMessage struct {
	channel uint8
	payload string
}

func (m *model) bytes(d transport.Delivery) (n int) {
	for _, q := range m.queue[d] {
		n += len(q.payload) + outbox.Overhead
	}
	return n
}

func (m *model) push(d transport.Delivery, msg modelMessage) (dropped int, err error) {
	size := len(msg.payload) + outbox.Overhead
	switch {
	case m.sealed:
		return 0, outbox.ErrSealed
	case d == transport.Reliable:
		if m.bytes(d)+size > modelReliable {
			return 0, outbox.ErrFull
		}
		m.queue[d] = append(m.queue[d], msg)
		return 0, nil
	}
	if !m.datagrams {
		for i, old := range m.queue[d] {
			if old.channel != msg.channel {
				continue
			}
			dropped++
			if m.bytes(d)-len(old.payload)+len(msg.payload) <= modelUnreliable {
				m.queue[d][i] = msg
				return dropped, nil
			}
			m.queue[d] = append(m.queue[d][:i:i], m.queue[d][i+1:]...)
			break
		}
	}
	for len(m.queue[d]) > 0 && m.bytes(d)+size > modelUnreliable {
		m.queue[d] = m.queue[d][1:]
		dropped++
	}
	m.queue[d] = append(m.queue[d], msg)
	return dropped, nil
}

func (m *model) setDatagrams(on bool) (dropped int) {
	m.datagrams = on
	if on {
		return 0
	}
	var kept []modelMessage
	for i, msg := range m.queue[transport.Unreliable] {
		newest := true
		for _, later := range m.queue[transport.Unreliable][i+1:] {
			newest = newest && later.channel != msg.channel
		}
		if newest {
			kept = append(kept, msg)
			continue
		}
		dropped++
	}
	m.queue[transport.Unreliable] = kept
	return dropped
}

func (m *model) pull(d transport.Delivery, channel, budget int) (out []string) {
	var kept []modelMessage
	taken, full := 0, false
	for _, msg := range m.queue[d] {
		full = full || taken > 0 && taken+len(msg.payload)+8 > budget && (channel == transport.AnyChannel || int(msg.channel) == channel)
		if full || channel != transport.AnyChannel && int(msg.channel) != channel {
			kept = append(kept, msg)
			continue
		}
		taken += len(msg.payload) + 8
		seq := uint16(0)
		if d == transport.Unreliable {
			seq = m.seqs[msg.channel]
			m.seqs[msg.channel]++
		}
		out = append(out, fmt.Sprintf("%d:%s#%d", msg.channel, msg.payload, seq))
	}
	m.queue[d] = kept
	return out
}

func (m *model) channels() (out []uint8) {
	for _, msg := range m.queue[transport.Reliable] {
		if !slices.Contains(out, msg.channel) {
			out = append(out, msg.channel)
		}
	}
	return out
}

// FuzzQueue does what the input says to the queue and to the model: three bytes
// an operation.
func FuzzQueue(f *testing.F) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 200 {
		ops := make([]byte, 3*(1+r.IntN(200)))
		for i := range ops {
			ops[i] = byte(r.Uint32())
		}
		f.Add(ops)
	}
	f.Add([]byte{0, 1, 1, 1, 1, 1, 2, 0, 0})
	f.Fuzz(func(t *testing.T, ops []byte) {
		pool := transport.NewPool(0, nil)
		var q outbox.Queue
		q.Init(outbox.Config{ReliableBytes: modelReliable, UnreliableBytes: modelUnreliable})
		m := &model{seqs: map[uint8]uint16{}}
		for n := 0; len(ops) >= 3; ops, n = ops[3:], n+1 {
			d := transport.Delivery(ops[0] & 1)
			channel := ops[1] % 6
			switch op := ops[0] >> 1 % 32; {
			case op < 18: // push
				payload := append(fmt.Append(nil, n), bytes.Repeat([]byte{'.'}, int(ops[2]))...)
				dropped, err := q.Push(transport.Message{Delivery: d, Channel: channel, Buf: pool.Copy(payload)})
				wantDropped, wantErr := m.push(d, modelMessage{channel, string(payload)})
				require.ErrorIs(t, err, wantErr)
				require.Equal(t, wantErr == nil, err == nil)
				require.Equal(t, wantDropped, dropped)
			case op < 29: // pull
				which := int(channel)
				if ops[1]&0x80 != 0 {
					which = transport.AnyChannel
				}
				budget := 1 + 4*int(ops[2])
				var got []string
				for _, msg := range q.Pull(nil, d, which, budget) {
					require.Equal(t, d, msg.Delivery)
					got = append(got, fmt.Sprintf("%d:%s#%d", msg.Channel, msg.Buf.B, msg.Seq))
					msg.Buf.Release()
				}
				require.Equal(t, m.pull(d, which, budget), got)
			case op < 31:
				require.Equal(t, m.setDatagrams(d == 1), q.SetDatagrams(d == 1))
			case ops[2] > 250:
				q.Seal()
				m.sealed = true
			}
			require.Equal(t, m.bytes(0)+m.bytes(1), q.Bytes())
			require.Equal(t, q.Bytes() == 0, q.Empty())
			require.Equal(t, len(m.queue[0]) > 0, q.Pending(transport.Reliable))
			require.Equal(t, len(m.queue[1]) > 0, q.Pending(transport.Unreliable))
			if ops[2]%4 == 0 { // else a queue that nobody has asked for its channels
				require.ElementsMatch(t, m.channels(), q.Channels(nil))
			}
			require.EqualValues(t, len(m.queue[0])+len(m.queue[1]), pool.Live())
		}
		reliable, unreliable := q.Drop()
		require.Equal(t, [2]int{len(m.queue[0]), len(m.queue[1])}, [2]int{reliable, unreliable})
		require.Zero(t, pool.Live())
	})
}
