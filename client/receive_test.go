package client_test

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"strait/client"
	"strait/client/clienttest"
	"strait/proto/straitv1"
	"strait/proto/wire"
	"strait/transport"
)

func TestStaleUnreliableMessagesAreDropped(t *testing.T) {
	g := startGateway(t, clienttest.Config{Raw: helloThen(func(c rawConn) {
		for _, m := range []struct {
			channel uint8
			seq     uint16
		}{
			{1, 65000}, {1, 64999}, {1, 65000}, {1, 65535}, {1, 0}, {1, 65534}, {2, 7}, {1, 32767}, {1, 65535}, {1, 32768}, {2, 6}, {2, 8},
		} {
			_, _ = c.Write(wire.AppendUnreliable(nil, m.channel, m.seq, []byte("x")))
		}
		_, _, _ = c.closed()
		_, _ = c.Write(wire.AppendClose(nil, 0, "", 0))
	})})
	c := dial(t, g, client.Options{})
	var got [][2]int
	for range 7 {
		m := receive(t, c)
		assert.Equal(t, client.Unreliable, m.Delivery)
		got = append(got, [2]int{int(m.Channel), int(m.Sequence)})
	}
	assert.Equal(t, [][2]int{{1, 65000}, {1, 65535}, {1, 0}, {2, 7}, {1, 32767}, {1, 32768}, {2, 8}}, got)
	assert.EqualValues(t, 5, c.Info().Counters.Stale)
}

func TestUnreliableMessagesNobodyTakesGiveWayToNewerOnes(t *testing.T) {
	const sent = 1000
	g := startGateway(t, clienttest.Config{Raw: helloThen(func(c rawConn) {
		var out []byte
		for i := range sent {
			out = wire.AppendUnreliable(out, 0, uint16(i), binary.BigEndian.AppendUint16(make([]byte, 98), uint16(i)))
		}
		_, _ = c.Write(wire.AppendFrame(out, wire.Data, 9, []byte("end")))
		_, _, _ = c.closed()
	})})
	c := dial(t, g, client.Options{ReceiveBufferBytes: 4 * 1640}) // room for ten
	require.Eventually(t, func() bool { return c.Info().Counters.ReceivedReliable == 1 }, patience, time.Millisecond)
	for i := sent - 10; i < sent; i++ {
		m := receive(t, c)
		require.EqualValues(t, i, m.Sequence)
	}
	assert.Equal(t, "end", string(receive(t, c).Payload))
	assert.EqualValues(t, sent-10, c.Info().Counters.ReceiveDropped)
}

func TestFramesThisClientDidNotAskForAreSkipped(t *testing.T) {
	g := startGateway(t, clienttest.Config{Raw: helloThen(func(c rawConn) {
		c.send(wire.Type(0x80), 0, make([]byte, 4096))
		c.send(wire.Type(0xff), 3, nil)
		ack, _ := proto.Marshal(&straitv1.Ack{Received: []*straitv1.ChannelPosition{{Channel: 1, Count: 5}}})
		c.send(wire.Ack, 0, ack)
		offer, _ := proto.Marshal(&straitv1.UdpOffer{Address: ":7778"})
		c.send(wire.UDPOffer, 0, offer)
		_, _ = c.Write(wire.AppendPong(nil, [8]byte{0x80}, 0)) // the answer to no PING
		_, _ = c.Write(wire.AppendPong(nil, [8]byte{}, 1<<31))
		c.send(wire.Data, 0, []byte("through"))
		_, _, _ = c.closed()
	})})
	c := dial(t, g, client.Options{Transport: client.TCP})
	assert.Equal(t, "through", string(receive(t, c).Payload))
	assert.Zero(t, c.Info().RTT)
}

func TestPingsOfTheGatewayAreAnsweredAtOnce(t *testing.T) {
	const count = 200 // above what a lane keeps unanswered
	answered := make(chan [8]byte, count)
	g := startGateway(t, clienttest.Config{Raw: helloThen(func(c rawConn) {
		go func() {
			for i := range count {
				c.send(wire.Ping, 0, binary.BigEndian.AppendUint64(nil, uint64(i)))
			}
		}()
		for {
			h, b, err := c.frame()
			if err != nil || h.Type == wire.Close {
				return
			}
			if data, _, ok := wire.ParsePong(b); h.Type == wire.Pong && ok {
				answered <- data
			}
		}
	})})
	dial(t, g, client.Options{})
	for i := range count {
		select {
		case data := <-answered:
			require.EqualValues(t, i, binary.BigEndian.Uint64(data[:]))
		case <-time.After(patience):
			require.FailNow(t, "no PONG")
		}
	}
}

func TestPingSubtractsTheGatewaysDelay(t *testing.T) {
	const delay = 100 * time.Millisecond
	g := startGateway(t, clienttest.Config{Raw: helloThen(func(c rawConn) {
		for {
			h, b, err := c.frame()
			if err != nil || h.Type == wire.Close {
				return
			}
			if h.Type == wire.Ping {
				time.Sleep(delay)
				_, _ = c.Write(wire.AppendPong(nil, [8]byte(b), uint32(delay.Microseconds())))
			}
		}
	})})
	c := dial(t, g, client.Options{})
	started := time.Now()
	rtt, err := c.Ping(timeout(t))
	require.NoError(t, err)
	assert.GreaterOrEqual(t, time.Since(started), delay)
	assert.LessOrEqual(t, rtt, time.Since(started)-delay)
}

func TestAPingEndsWithItsSession(t *testing.T) {
	g := startGateway(t, clienttest.Config{Raw: helloThen(func(c rawConn) {
		for {
			h, _, err := c.frame()
			if err != nil {
				return
			}
			if h.Type == wire.Ping {
				_, _ = c.Write(wire.AppendClose(nil, uint32(transport.Kicked), "out", 0))
			}
		}
	})})
	c := dial(t, g, client.Options{})
	_, err := c.Ping(timeout(t))
	assert.ErrorIs(t, err, transport.Kicked)
}

func TestAGatewayThatBreaksTheProtocolIsToldAndLeft(t *testing.T) {
	for text, frame := range map[string][]byte{
		"DATA of 65537 bytes is above":    wire.AppendHeader(nil, wire.Header{Type: wire.Data, Length: 65537}),
		"DATA of 16777215 bytes is above": wire.AppendHeader(nil, wire.Header{Type: wire.Data, Length: wire.MaxFrameLen}),
		"DATA_UNRELIABLE of 1 bytes":      wire.AppendFrame(nil, wire.DataUnreliable, 0, []byte{1}),
		"PING of 7 bytes":                 wire.AppendFrame(nil, wire.Ping, 0, make([]byte, 7)),
		"PONG of 13 bytes":                wire.AppendFrame(nil, wire.Pong, 0, make([]byte, 13)),
		"GOAWAY does not parse":           wire.AppendFrame(nil, wire.GoAway, 0, []byte{0xff}),
		"ACK does not parse":              wire.AppendFrame(nil, wire.Ack, 0, []byte{0xff}),
		"UDP_OFFER does not parse":        wire.AppendFrame(nil, wire.UDPOffer, 0, []byte{0xff}),
		"payload of CLOSE does not parse": wire.AppendFrame(nil, wire.Close, 0, []byte{0xff}),
		"frame type 0x7F is unknown":      wire.AppendFrame(nil, wire.Type(0x7f), 0, nil),
	} {
		t.Run(text, func(t *testing.T) {
			type told struct {
				code   uint32
				reason string
			}
			heard := make(chan told, 1)
			g := startGateway(t, clienttest.Config{Raw: helloThen(func(c rawConn) {
				c.send(wire.Data, 0, []byte("before"))
				_, _ = c.Write(frame)
				code, reason, _ := c.closed()
				heard <- told{code, reason}
			})})
			c := dial(t, g, client.Options{})
			assert.Equal(t, "before", string(receive(t, c).Payload))
			_, err := c.Receive(timeout(t))
			assert.ErrorIs(t, err, transport.ProtocolError, "and it does not come back")
			assert.ErrorContains(t, err, text)
			h := <-heard
			assert.EqualValues(t, transport.ProtocolError, h.code)
			assert.Contains(t, h.reason, text)
		})
	}
}

func TestACloseThatExplainsAFailedWriteIsHeard(t *testing.T) {
	// The gateway says why and is gone; the client, which writes all the time,
	// fails to write but still reads the CLOSE.
	for range 5 {
		g := startGateway(t, clienttest.Config{Opened: func(s *clienttest.Session) {
			s.Close(transport.Because(transport.Kicked, "cheating"))
		}})
		c := dial(t, g, client.Options{})
		var err error
		for err == nil {
			err = c.Send(timeout(t), client.Reliable, 0, make([]byte, 100))
		}
		assert.ErrorIs(t, err, transport.Kicked)
		<-c.Done()
		assert.ErrorIs(t, c.Err(), transport.Kicked)
		require.NoError(t, c.Close())
	}
}
