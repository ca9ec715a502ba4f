package batch

import (
	"google.golang.org/protobuf/proto"

	"strait/proto/straitv1"
)

// The functions of this file write a GatewayBatch: each appends one field to
// dst. Byte slices and messages are borrowed until return.

// AppendMessage appends the event of a message from a player. seq goes with
// unreliable messages only and is left out else.
func AppendMessage(dst []byte, session uint64, channel uint8, unreliable bool, seq uint16, payload []byte) []byte {
	if !unreliable {
		seq = 0
	}
	body := sizeBody(channel, unreliable, seq, len(payload))
	dst = appendItem(dst, sizeNumber(session)+sizeHead(body)+body)
	dst = appendNumber(dst, eventSession, session)
	dst = appendHead(dst, eventMessage, body)
	dst = appendNumber(dst, messageChannel, uint64(channel))
	dst = appendNumber(dst, messageDelivery, deliveryNumber(unreliable))
	dst = appendData(dst, messagePayload, payload)
	return appendNumber(dst, messageSequence, uint64(seq))
}

func sizeBody(channel uint8, unreliable bool, seq uint16, payloadLen int) int {
	return sizeNumber(uint64(channel)) + sizeNumber(deliveryNumber(unreliable)) +
		sizeData(payloadLen) + sizeNumber(uint64(seq))
}

// AppendOpened appends the event of a session that was opened, or announced
// again. On error, which is text that is not UTF-8, dst comes back as it was.
func AppendOpened(dst []byte, session uint64, o *straitv1.Opened) ([]byte, error) {
	return appendEvent(dst, session, eventOpened, o)
}

// AppendClosed appends the event of a session that is closed.
func AppendClosed(dst []byte, session uint64, code uint32, reason string) []byte {
	reason = clean(reason)
	body := sizeNumber(uint64(code)) + sizeData(len(reason))
	dst = appendItem(dst, sizeNumber(session)+sizeHead(body)+body)
	dst = appendNumber(dst, eventSession, session)
	dst = appendHead(dst, eventClosed, body)
	dst = appendNumber(dst, closedCode, uint64(code))
	return appendData(dst, closedReason, reason)
}

// AppendLink appends the event of a session whose path changed. On error,
// which is text that is not UTF-8, dst comes back as it was.
func AppendLink(dst []byte, session uint64, l *straitv1.LinkChanged) ([]byte, error) {
	return appendEvent(dst, session, eventLink, l)
}

func appendEvent(dst []byte, session uint64, num byte, m proto.Message) ([]byte, error) {
	body := proto.Size(m)
	out := appendItem(dst, sizeNumber(session)+sizeHead(body)+body)
	out = appendNumber(out, eventSession, session)
	out, err := appendGenerated(out, num, m)
	if err != nil {
		return dst, err
	}
	return out, nil
}

// AppendGatewayHello appends the hello of the first batch of a stream. On
// error, which is text that is not UTF-8, dst comes back as it was.
func AppendGatewayHello(dst []byte, h *straitv1.GatewayHello) ([]byte, error) {
	return appendGenerated(dst, batchHello, h)
}

// AppendPing appends a ping, which is not zero: zero is no ping and appends
// nothing.
func AppendPing(dst []byte, ping uint64) []byte { return appendNumber(dst, batchPing, ping) }
