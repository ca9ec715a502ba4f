package contender

import (
	"context"

	"strait/client"
	"strait/compare/game"
	"strait/transport"
)

// dialSDK opens sessions with the Go SDK. It does not reconnect by itself: when to
// come back is the player's decision, the same for all contenders.
func dialSDK(e Endpoint, t client.Transport, p parts) game.Dial {
	return func(ctx context.Context) (game.Conn, error) {
		c, err := client.Dial(ctx, e.Addr, client.Options{
			Transport: t, QUICAddr: e.QUIC, NoDatagrams: !p.datagrams, Pin: e.Pin,
			Name: "strait-compare", Reconnect: client.Reconnect{Off: true},
		})
		if err != nil {
			return nil, err
		}
		return &sdkConn{client: c, oneStream: p.oneStream}, nil
	}
}

// sdkConn is a client as a player uses it.
type sdkConn struct {
	client    *client.Client
	oneStream bool
}

func (c *sdkConn) Send(ctx context.Context, d transport.Delivery, channel uint8, payload []byte) error {
	return c.client.Send(ctx, d, channelOf(d, channel, c.oneStream), payload)
}

func (c *sdkConn) Receive(ctx context.Context) (game.Message, error) {
	m, err := c.client.Receive(ctx)
	return game.Message{Delivery: m.Delivery, Channel: m.Channel, Payload: m.Payload}, err
}

// Close gives a gateway that may be gone a second to agree.
func (c *sdkConn) Close() error { return c.client.Close() }
