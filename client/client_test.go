package client_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/client"
	"strait/client/clienttest"
	"strait/proto/straitv1"
	"strait/proto/wire"
	"strait/transport"
)

func TestEchoKeepsDeliveryChannelAndPayload(t *testing.T) {
	c := dial(t, startGateway(t, clienttest.Config{}), client.Options{})
	for _, want := range []client.Message{
		{Delivery: client.Reliable, Channel: 0, Payload: []byte("hello")},
		{Delivery: client.Reliable, Channel: 255, Payload: []byte{}},
		{Delivery: client.Unreliable, Channel: 3, Payload: []byte("now")},
		{Delivery: client.Reliable, Channel: 1, Payload: make([]byte, 65536)},
		{Delivery: client.Unreliable, Channel: 3, Sequence: 1, Payload: make([]byte, 1100)},
	} {
		require.NoError(t, c.Send(timeout(t), want.Delivery, want.Channel, want.Payload))
		require.Equal(t, want, receive(t, c))
	}
}

func TestPayloadIsBorrowedOnSendAndOwnedOnReceive(t *testing.T) {
	c := dial(t, startGateway(t, clienttest.Config{}), client.Options{})
	b := []byte("first")
	require.NoError(t, c.Send(timeout(t), client.Reliable, 0, b))
	copy(b, "XXXXX")
	require.NoError(t, c.Send(timeout(t), client.Reliable, 0, []byte("second")))
	first, second := receive(t, c), receive(t, c)
	copy(second.Payload, "YYYYYY")
	assert.Equal(t, "first", string(first.Payload))
}

func TestReliableMessagesOfManySendersStayInOrder(t *testing.T) {
	const senders, each = 8, 500
	c := dial(t, startGateway(t, clienttest.Config{}), client.Options{SendBufferBytes: 4096, ReceiveBufferBytes: 4096})
	var work sync.WaitGroup
	for ch := range senders {
		work.Go(func() {
			for i := range each {
				b := binary.BigEndian.AppendUint32(nil, uint32(i))
				if err := c.Send(timeout(t), client.Reliable, uint8(ch), b); !assert.NoError(t, err) {
					return
				}
			}
		})
	}
	var next [senders]uint32
	for range senders * each {
		m := receive(t, c)
		require.Equal(t, next[m.Channel], binary.BigEndian.Uint32(m.Payload), "channel %d", m.Channel)
		next[m.Channel]++
	}
	work.Wait()
	n := c.Info().Counters
	assert.EqualValues(t, senders*each, n.SentReliable)
	assert.EqualValues(t, senders*each, n.ReceivedReliable)
	assert.EqualValues(t, senders*each*4, n.SentBytes)
	assert.EqualValues(t, senders*each*4, n.ReceivedBytes)
}

func TestTooLongMessagesAreRefusedBeforeTheyAreSent(t *testing.T) {
	c := dial(t, startGateway(t, clienttest.Config{
		Hello: func(_ *straitv1.ClientHello, h *straitv1.ServerHello) error {
			h.MaxMessageBytes, h.MaxUnreliableBytes = 20000, 1200
			return nil
		},
	}), client.Options{})
	for d, limit := range map[transport.Delivery]int{client.Reliable: 20000, client.Unreliable: 1200} {
		err := c.Send(timeout(t), d, 0, make([]byte, limit+1))
		var tooLarge *transport.TooLargeError
		require.ErrorAs(t, err, &tooLarge)
		assert.Equal(t, transport.TooLargeError{Size: limit + 1, Max: limit, Delivery: d}, *tooLarge)
		require.NoError(t, c.Send(timeout(t), d, 0, make([]byte, limit)))
		assert.Len(t, receive(t, c).Payload, limit)
	}
	assert.ErrorContains(t, c.Send(timeout(t), transport.Delivery(9), 0, nil), "does not exist")
}

func TestOneMessageOfTheLimitFitsIntoTheSmallestBuffers(t *testing.T) {
	c := dial(t, startGateway(t, clienttest.Config{}), client.Options{SendBufferBytes: 1, ReceiveBufferBytes: 1})
	for range 3 {
		require.NoError(t, c.Send(timeout(t), client.Reliable, 0, make([]byte, 65536)))
	}
	for range 3 {
		assert.Len(t, receive(t, c).Payload, 65536)
	}
}

func TestInfoTellsWhatWasNegotiatedAndMeasured(t *testing.T) {
	g := startGateway(t, clienttest.Config{})
	c := dial(t, g, client.Options{})
	info := c.Info()
	assert.Equal(t, client.TCP, info.Transport)
	assert.Equal(t, g.Addr(), info.Remote.String())
	assert.Equal(t, c.Session(), info.SessionID)
	assert.NotZero(t, info.SessionID)
	assert.Equal(t, 65536, info.MaxMessage)
	assert.Equal(t, 1100, info.MaxUnreliable)
	assert.Equal(t, 30*time.Second, info.IdleTimeout)
	assert.Equal(t, g.Pin(), info.Certificate)
	assert.Equal(t, info.Opening.Total(), info.OpenTime)
	assert.Positive(t, info.Opening.Connect)
	assert.Positive(t, info.Opening.TLS)
	assert.Positive(t, info.Opening.Hello)
}

func TestHelloCarriesWhatTheOptionsSay(t *testing.T) {
	seen := make(chan *straitv1.ClientHello, 1)
	g := startGateway(t, clienttest.Config{Hello: func(h *straitv1.ClientHello, _ *straitv1.ServerHello) error {
		seen <- h
		return nil
	}})
	dial(t, g, client.Options{
		Transport: client.TCP, Name: "game 1.2", Route: "eu",
		Token: func(context.Context) ([]byte, error) { return []byte("secret"), nil },
	})
	h := <-seen
	assert.EqualValues(t, 1, h.GetVersion())
	assert.Equal(t, "game 1.2", h.GetClient())
	assert.Equal(t, "eu", h.GetRoute())
	assert.Equal(t, "secret", string(h.GetAuthToken()))
	assert.False(t, h.GetWantUdp())
	assert.False(t, h.GetWantResume())
}

// What Ping measures is in Info, too, and its PINGs cannot be guessed.
func TestPingFeedsTheEstimate(t *testing.T) {
	nonces := make(chan string, 2)
	g := startGateway(t, clienttest.Config{Raw: helloThen(func(c rawConn) {
		for {
			h, b, err := c.frame()
			switch {
			case err != nil || h.Type == wire.Close:
				return
			case h.Type == wire.Ping:
				nonces <- string(b)
				_, _ = c.Write(wire.AppendPong(nil, [8]byte(b), 0))
			}
		}
	})})
	c := dial(t, g, client.Options{Transport: client.TCP})
	assert.Zero(t, c.Info().RTT)
	rtt, err := c.Ping(timeout(t))
	require.NoError(t, err)
	assert.Equal(t, rtt, c.Info().RTT)
	assert.Equal(t, rtt/2, c.Info().Jitter)
	_, err = c.Ping(timeout(t))
	require.NoError(t, err)
	a, b := <-nonces, <-nonces
	assert.NotEqual(t, a[:4], b[:4], "counted, not drawn")
}

func TestPingMeasuresEachRoundTrip(t *testing.T) {
	c := dial(t, startGateway(t, clienttest.Config{}), client.Options{})
	var work sync.WaitGroup
	for range 8 {
		work.Go(func() {
			for range 20 {
				rtt, err := c.Ping(timeout(t))
				if !assert.NoError(t, err) || !assert.Positive(t, rtt) || !assert.Less(t, rtt, patience) {
					return
				}
			}
		})
	}
	work.Wait()
}

func TestContextsThatHaveEndedEndCallsAtOnce(t *testing.T) {
	c := dial(t, startGateway(t, clienttest.Config{}), client.Options{})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	assert.ErrorIs(t, c.Send(ctx, client.Reliable, 0, nil), context.Canceled)
	assert.ErrorIs(t, c.Send(ctx, client.Unreliable, 0, nil), context.Canceled)
	_, err := c.Receive(ctx)
	assert.ErrorIs(t, err, context.Canceled)
	_, err = c.Ping(ctx)
	assert.ErrorIs(t, err, context.Canceled)
	assert.NoError(t, c.Err())
}

func TestCloseSendsWhatIsQueuedThenNormal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []byte
		why := make(chan transport.Reason, 1)
		seen := watch()
		_, c := simulated(t, clienttest.Config{
			Message: func(_ *clienttest.Session, _ transport.Delivery, _ uint8, b []byte) { got = append(got, b...) },
			Closed:  func(_ *clienttest.Session, r transport.Reason) { why <- r },
		}, client.Options{OnState: seen.on})
		payload := make([]byte, 200_000)
		for i := range payload {
			payload[i] = byte(i * 7)
		}
		for i := 0; i < len(payload); i += 50_000 {
			require.NoError(t, c.Send(timeout(t), client.Reliable, 0, payload[i:i+50_000]))
		}
		started := time.Now()
		require.NoError(t, c.Close())
		assert.Less(t, time.Since(started), 900*time.Millisecond, "the gateway's CLOSE was not taken")
		r := <-why
		assert.Equal(t, transport.Normal, r.Code)
		assert.True(t, r.Remote)
		assert.False(t, r.Lost)
		assert.Equal(t, payload, got)
		seen.next(t, client.Opened)
		assert.ErrorIs(t, seen.next(t, client.Closed).Err, transport.Normal)
		assert.Empty(t, seen)
	})
}

func TestEverythingFailsWithTheReasonAfterClose(t *testing.T) {
	c := dial(t, startGateway(t, clienttest.Config{}), client.Options{})
	waiting := make(chan error)
	go func() {
		_, err := c.Receive(context.Background())
		waiting <- err
	}()
	assert.NoError(t, c.Err())
	var work sync.WaitGroup
	for range 3 {
		work.Go(func() { assert.NoError(t, c.Close()) })
	}
	work.Wait()
	<-c.Done()
	_, receiveErr := c.Receive(context.Background())
	_, pingErr := c.Ping(context.Background())
	for what, err := range map[string]error{
		"Err": c.Err(), "waiting Receive": <-waiting, "Receive": receiveErr, "Ping": pingErr,
		"reliable Send":   c.Send(context.Background(), client.Reliable, 0, nil),
		"unreliable Send": c.Send(context.Background(), client.Unreliable, 0, nil),
	} {
		assert.ErrorIs(t, err, transport.Normal, what)
		assert.ErrorIs(t, err, net.ErrClosed, what)
		var r transport.Reason
		assert.True(t, errors.As(err, &r) && !r.Remote, what)
	}
}

func TestCloseWaitsOnlyASecondForASilentGateway(t *testing.T) {
	deaf := make(chan struct{})
	g := startGateway(t, clienttest.Config{Raw: helloThen(func(conn rawConn) { <-deaf })})
	defer close(deaf)
	c := dial(t, g, client.Options{})
	started := time.Now()
	require.NoError(t, c.Close())
	assert.GreaterOrEqual(t, time.Since(started), 900*time.Millisecond)
	assert.Less(t, time.Since(started), patience)
}

func TestMessagesBeforeCloseAreStillReceived(t *testing.T) {
	g := startGateway(t, clienttest.Config{Opened: func(s *clienttest.Session) {
		for i := range 100 {
			s.Send(client.Reliable, 0, []byte{byte(i)})
		}
		s.Close(transport.Because(transport.Kicked, "enough"))
	}})
	// A buffer of two messages: CLOSE waits behind those that did not fit.
	c := dial(t, g, client.Options{ReceiveBufferBytes: 130})
	for i := range 100 {
		require.Equal(t, []byte{byte(i)}, receive(t, c).Payload)
	}
	_, err := c.Receive(timeout(t))
	assert.ErrorIs(t, err, transport.Kicked)
	assert.ErrorContains(t, err, "enough")
	<-c.Done()
}

func TestASendThatWaitsForRoomEndsWithItsContextOrTheClient(t *testing.T) {
	deaf := make(chan struct{})
	g := startGateway(t, clienttest.Config{Raw: helloThen(func(conn rawConn) { <-deaf })})
	defer close(deaf)
	c := dial(t, g, client.Options{SendBufferBytes: 1000, Reconnect: client.Reconnect{Off: true}})
	// Until the kernel takes no more: then each message waits for its whole time.
	fill := func(each time.Duration) (err error) {
		for err == nil {
			ctx, cancel := context.WithTimeout(context.Background(), each)
			err = c.Send(ctx, client.Reliable, 0, make([]byte, 60000))
			cancel()
		}
		return err
	}
	// An unreliable one does not wait, and takes the place of the one before.
	dropped := uint64(0)
	for attempt := 0; attempt < 5 && dropped != 2; attempt++ { // on a busy machine the kernel may take more later
		require.ErrorIs(t, fill(300*time.Millisecond), context.DeadlineExceeded)
		require.NoError(t, c.Send(timeout(t), client.Unreliable, 0, make([]byte, 1000)))
		before := c.Info().Counters.SendDropped
		for range 2 {
			require.NoError(t, c.Send(timeout(t), client.Unreliable, 0, make([]byte, 1000)))
		}
		dropped = c.Info().Counters.SendDropped - before
	}
	assert.EqualValues(t, 2, dropped)
	waiting := make(chan error)
	go func() { waiting <- fill(patience) }()
	go func() { waiting <- fill(patience) }()
	require.NoError(t, c.Close())
	assert.ErrorIs(t, <-waiting, transport.Normal)
	assert.ErrorIs(t, <-waiting, transport.Normal)
	assert.Positive(t, c.Info().Counters.LostReliable)
}

func TestAClientThatDoesNotReceiveHoldsTheGatewayBack(t *testing.T) {
	const messages, size = 400, 32 << 10
	var gs *clienttest.Session
	opened := make(chan struct{})
	g := startGateway(t, clienttest.Config{Opened: func(s *clienttest.Session) {
		gs = s
		for i := range messages {
			b := make([]byte, size)
			b[0], b[1] = byte(i>>8), byte(i)
			s.Send(client.Reliable, 0, b)
		}
		close(opened)
	}})
	c := dial(t, g, client.Options{ReceiveBufferBytes: 100_000})
	<-opened
	// Pings wait behind what is not received.
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	_, err := c.Ping(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.LessOrEqual(t, c.Info().Counters.ReceivedReliable, uint64(4))
	for i := range messages {
		m := receive(t, c)
		require.Equal(t, []byte{byte(i >> 8), byte(i)}, m.Payload[:2])
	}
	_, err = c.Ping(timeout(t))
	require.NoError(t, err)
	require.NotNil(t, gs)
}

func TestCloseDropsWhatWasNotReceived(t *testing.T) {
	queued := make(chan struct{})
	g := startGateway(t, clienttest.Config{Opened: func(s *clienttest.Session) {
		for range 50 {
			s.Send(client.Reliable, 0, make([]byte, 1000))
		}
		close(queued)
	}})
	c := dial(t, g, client.Options{ReceiveBufferBytes: 5000})
	require.Eventually(t, func() bool { return c.Info().Counters.ReceivedReliable == 4 }, patience, time.Millisecond)
	<-queued
	require.NoError(t, c.Close())
	_, err := c.Receive(timeout(t))
	assert.ErrorIs(t, err, transport.Normal)
	assert.EqualValues(t, 50, c.Info().Counters.ReceiveDropped)
}
