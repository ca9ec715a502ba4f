//go:build !race

package client_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"strait/client"
	"strait/client/clienttest"
	"strait/transport"
)

// A message by sealed UDP allocates nothing in steady state, from Send to the
// gateway's handler. (Over TCP crypto/tls allocates for each read; quic-go for each
// packet.)
func TestSealedMessagesAllocateNothing(t *testing.T) {
	arrived := make(chan struct{}, 1)
	g := startGateway(t, clienttest.Config{UDP: true, Message: func(*clienttest.Session, transport.Delivery, uint8, []byte) {
		arrived <- struct{}{}
	}})
	c, _ := bind(t, g, client.Options{})
	ctx := context.Background()
	payload := make([]byte, 64)
	lost := time.After(patience)
	one := func() {
		_ = c.Send(ctx, client.Unreliable, 0, payload)
		select {
		case <-arrived:
		case <-lost:
		}
	}
	for range 200 {
		one()
	}
	assert.Zero(t, testing.AllocsPerRun(1000, one))
}
