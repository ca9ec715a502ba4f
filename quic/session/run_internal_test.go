package session

import (
	"testing"

	quicgo "github.com/quic-go/quic-go"
	"github.com/stretchr/testify/assert"

	"strait/transport"
)

// A peer that closes the connection in answer to a CLOSE does not change its reason.
func TestTheFirstReasonCounts(t *testing.T) {
	answer := &quicgo.ApplicationError{Remote: true, ErrorCode: 8, ErrorMessage: "goodbye"}
	s := blank(nil)
	assert.Equal(t, transport.Reason{Code: transport.Kicked, Text: "goodbye", Remote: true}, s.lossOf(answer))
	ours := transport.Because(transport.TooSlow, "not reading")
	s.ending.Store(&ours)
	assert.Equal(t, ours, s.lossOf(answer))
}
