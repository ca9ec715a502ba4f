package quic_test

import (
	"strings"
	"testing"
	"time"

	"strait/transport/transporttest"
)

// A client that gives no credit for streams gets every channel on the control stream,
// which then is a reliable lane like any other.
func TestConformance(t *testing.T) {
	transporttest.Run(t, func(t *testing.T, s transporttest.Setup) transporttest.Endpoint {
		client, c := clientQUIC(), config(s)
		client.MaxIncomingUniStreams = -1
		// A link that breaks is noticed by its silence alone, and what keeps a busy machine
		// from sending, most of all a flood, is to be over before that.
		c.IdleTimeout, client.KeepAlivePeriod = 3*time.Second, time.Second
		if strings.Contains(t.Name(), "/flood/") {
			c.IdleTimeout = 10 * time.Second
		}
		return endpoint(t, c, client)
	})
}
