package tcp_test

import (
	"crypto/tls"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"strait/tcp"
	"strait/transport/transporttest"
)

func conform(t *testing.T, noLoop bool) {
	client := clientTLS()
	transporttest.Run(t, func(t *testing.T, s transporttest.Setup) transporttest.Endpoint {
		return endpoint(t, s, serverTLS(), client, noLoop)
	})
}

// few makes the crowd small where the suite runs again for what one connection shows.
func few(e transporttest.Endpoint) transporttest.Endpoint {
	e.Crowd = 300
	return e
}

// On the event loop where there is one.
func TestConformance(t *testing.T) { conform(t, false) }

// A goroutine for each connection, as on every system.
func TestConformancePortable(t *testing.T) { conform(t, true) }

// On the event loop, but without lending crypto/tls the loop's buffer.
func TestConformanceLongWay(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there is no event loop here")
	}
	require.True(t, tcp.Lends(), "crypto/tls has changed: see borrow.go")
	defer tcp.LongWay()()
	client := clientTLS()
	transporttest.Run(t, func(t *testing.T, s transporttest.Setup) transporttest.Endpoint {
		return few(endpoint(t, s, serverTLS(), client, false))
	})
}

// Closing rests on close_notify and on reads that time out, which the two
// versions of TLS do in different ways.
func TestConformanceTLS12(t *testing.T) {
	if testing.Short() || transporttest.Race {
		t.Skip("the same suite again, with the older TLS and nothing new about goroutines")
	}
	client := clientTLS()
	client.MaxVersion = tls.VersionTLS12
	for name, noLoop := range map[string]bool{"loop": false, "portable": true} {
		t.Run(name, func(t *testing.T) {
			transporttest.Run(t, func(t *testing.T, s transporttest.Setup) transporttest.Endpoint {
				server := serverTLS()
				server.MinVersion = tls.VersionTLS12
				return few(endpoint(t, s, server, client, noLoop))
			})
		})
	}
}
