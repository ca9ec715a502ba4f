//go:build !linux

package client

import "net"

// hearRefusals: an unconnected socket hears of no refusals here; they are silence.
func hearRefusals(*net.UDPConn, bool) {}
