package e2e

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/proto/straitv1"
)

func TestFlagsAreIgnored(t *testing.T) { onBothPaths(t, testFlagsAreIgnored) }

func testFlagsAreIgnored(t *testing.T, path string) {
	p := connect(t, serve(t, path))
	hello := clientHello()
	hello[5] = 0xff
	p.write(hello)
	p.welcome()
	for flags := range 256 {
		p.write(frame{typ: tData, channel: 7, flags: byte(flags), payload: []byte{byte(flags)}}.bytes())
		p.expectData(7, []byte{byte(flags)})
	}
	p.write(frame{typ: tPing, flags: 0x80, payload: make([]byte, 8)}.bytes())
	p.expect(tPong)
	bye := closing(cNormal, "enough")
	bye[5] = 1
	p.write(bye)
	p.expectClose(cNormal)
}

func TestTheChannelOfControlFramesIsIgnored(t *testing.T) {
	t.Parallel()
	p := connect(t, serve(t))
	hello := clientHello()
	hello[4] = 99
	p.write(hello)
	p.welcome()
	p.write(frame{typ: tPing, channel: 42, payload: []byte("whatever")}.bytes())
	pong := p.expect(tPong)
	assert.Zero(t, pong.channel, "the channel of a control frame is 0")
	assert.Equal(t, "whatever", string(pong.payload[:8]))
	p.plays()
}

func TestUnknownTypesFrom0x80AreSkipped(t *testing.T) {
	t.Parallel()
	p := connect(t, serve(t))
	p.write(raw(0x80, []byte("of a later version")), clientHello(), raw(0xfe, nil))
	p.welcome()
	for typ := 0x80; typ <= 0xff; typ++ {
		p.write(frame{typ: byte(typ), channel: 3, flags: 9, payload: make([]byte, typ*16)}.bytes(), data(1, []byte{byte(typ)}))
		p.expectData(1, []byte{byte(typ)})
	}
	p.write(raw(0xc0, make([]byte, 4096)))
	p.plays()
}

// PINGs are answered at once, in order, with the delay between receipt and reply.
func TestPings(t *testing.T) { onBothPaths(t, testPings) }

func testPings(t *testing.T, path string) {
	gw := serve(t, path)
	p := connect(t, gw)
	p.write(clientHello(), raw(tPing, []byte("with it.")))
	p.welcome()
	assert.Equal(t, "with it.", string(p.expect(tPong).payload[:8]))

	for range 20 {
		began := time.Now()
		sent := binary.BigEndian.AppendUint64(nil, rand.Uint64())
		p.write(raw(tPing, sent))
		pong := p.expect(tPong)
		took := time.Since(began)
		require.Len(t, pong.payload, 12)
		assert.Equal(t, sent, pong.payload[:8])
		delay := time.Duration(binary.BigEndian.Uint32(pong.payload[8:])) * time.Microsecond
		assert.LessOrEqual(t, delay, took, "the delay is a part of the round trip")
	}

	// More at once than a gateway would keep: none is lost, the order holds.
	var burst []byte
	const pings = 1000
	for i := range pings {
		burst = append(burst, raw(tPing, binary.BigEndian.AppendUint64(nil, uint64(i)))...)
	}
	written := make(chan error, 1)
	go func() { _, err := p.conn.Write(burst); written <- err }()
	for i := range pings {
		pong, err := p.read()
		require.NoError(t, err)
		require.EqualValues(t, tPong, pong.typ)
		require.EqualValues(t, i, binary.BigEndian.Uint64(pong.payload))
	}
	require.NoError(t, <-written)
	p.plays()
}

func TestReliableEchoKeepsOrderAndIntegrity(t *testing.T) {
	onBothPaths(t, testReliableEchoKeepsOrderAndIntegrity)
}

func testReliableEchoKeepsOrderAndIntegrity(t *testing.T, path string) {
	p := join(t, serve(t, path))
	rnd := rand.New(rand.NewPCG(1, 2))
	sizes := []int{0, 1, 2, 5, 6, 7, 255, 256, 1023, 1024, 4095, 4096, 4097, 8192, 16383, 16384, 16385, 32768, maxMessage - 1, maxMessage}
	for range scaled(300) {
		sizes = append(sizes, rnd.IntN(3000))
	}
	// Not more on the way than a client may leave unread.
	const window = 128 << 10
	room, free := window, make(chan int, len(sizes))
	queues := make(map[byte][][]byte)
	var messages []frame
	for i, n := range sizes {
		payload := make([]byte, n)
		for k := range payload {
			payload[k] = byte(rnd.Uint32())
		}
		f := frame{typ: tData, channel: byte(i * 37), payload: payload}
		queues[f.channel] = append(queues[f.channel], payload)
		messages = append(messages, f)
	}
	written := make(chan error, 1)
	go func() {
		for _, f := range messages {
			for room < len(f.payload)+64 {
				room += <-free
			}
			room -= len(f.payload) + 64
			if _, err := p.conn.Write(f.bytes()); err != nil {
				written <- err
				return
			}
		}
		written <- nil
	}()
	for range sizes {
		f := p.expect(tData)
		q := queues[f.channel]
		require.NotEmpty(t, q, "more on channel %d than was sent", f.channel)
		require.Equal(t, len(q[0]), len(f.payload), "order on channel %d", f.channel)
		require.True(t, bytes.Equal(q[0], f.payload), "integrity on channel %d", f.channel)
		queues[f.channel] = q[1:]
		free <- len(f.payload) + 64
	}
	require.NoError(t, <-written)
}

// A frame counts however it is cut into TLS records.
func TestFramesInAnyPieces(t *testing.T) { onBothPaths(t, testFramesInAnyPieces) }

func testFramesInAnyPieces(t *testing.T, path string) {
	p := join(t, serve(t, path))
	var stream []byte
	for i := range 10 {
		stream = append(stream, data(byte(i), []byte("piece by piece"))...)
	}
	for _, b := range stream {
		p.write([]byte{b})
	}
	for i := range 10 {
		p.expectData(byte(i), []byte("piece by piece"))
	}
	p.write(stream) // and all in one
	for i := range 10 {
		p.expectData(byte(i), []byte("piece by piece"))
	}
}

// Sequences count from 0 for each direction and channel.
func TestUnreliableEcho(t *testing.T) { onBothPaths(t, testUnreliableEcho) }

func testUnreliableEcho(t *testing.T, path string) {
	game := listenLogic(t)
	p := join(t, serve(t, game.env(path)...))
	for i := range 5 {
		for _, channel := range []byte{0, 9, 255} {
			theirs := uint16(1000*i) + uint16(channel) // of the client's direction: its own business
			p.write(unreliable(channel, theirs, []byte{channel, byte(i)}))
			f := p.expect(tDataUnreliable)
			assert.Equal(t, channel, f.channel)
			require.Len(t, f.payload, 4)
			assert.EqualValues(t, i, binary.BigEndian.Uint16(f.payload), "sequence of channel %d", channel)
			assert.Equal(t, []byte{channel, byte(i)}, f.payload[2:])
			game.event(t, "the message with its sequence", func(e event) bool {
				m := e.GetMessage()
				return m != nil && m.Delivery == straitv1.Delivery_DELIVERY_UNRELIABLE &&
					m.Sequence == uint32(theirs) && m.Channel == uint32(channel)
			})
		}
	}
	p.write(unreliable(4, 0, nil))
	assert.Len(t, p.expect(tDataUnreliable).payload, 2, "an empty unreliable message")
	p.write(unreliable(4, 1, make([]byte, 1100)))
	assert.Len(t, p.expect(tDataUnreliable).payload, 1102, "one of max_unreliable_bytes")
}
