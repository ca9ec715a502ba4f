package batch

import (
	"strait/proto/straitv1"
)

// The functions of this file write a LogicBatch: each appends one field to
// dst. Slices and messages are borrowed until return.

// AppendSend appends a message to one session, or to many that get the same
// payload.
func AppendSend(dst []byte, sessions []uint64, channel uint32, unreliable bool, payload []byte) []byte {
	ids := pack(sessions)
	body := sizeData(ids.size) + sizeNumber(uint64(channel)) +
		sizeNumber(deliveryNumber(unreliable)) + sizeData(len(payload))
	dst = appendItem(dst, sizeHead(body)+body)
	dst = appendHead(dst, commandSend, body)
	dst = appendPacked(dst, sendSessions, ids)
	dst = appendNumber(dst, sendChannel, uint64(channel))
	dst = appendNumber(dst, sendDelivery, deliveryNumber(unreliable))
	return appendData(dst, sendPayload, payload)
}

// AppendSendOne appends a message to one session.
func AppendSendOne(dst []byte, session uint64, channel uint32, unreliable bool, payload []byte) []byte {
	one := [1]uint64{session}
	return AppendSend(dst, one[:], channel, unreliable, payload)
}

// AppendCloseSession appends the command to close a session. code is one of
// WIRE.md section 9.
func AppendCloseSession(dst []byte, session uint64, code uint32, reason string) []byte {
	reason = clean(reason)
	body := sizeNumber(session) + sizeNumber(uint64(code)) + sizeData(len(reason))
	dst = appendItem(dst, sizeHead(body)+body)
	dst = appendHead(dst, commandClose, body)
	dst = appendNumber(dst, closeSession, session)
	dst = appendNumber(dst, closeCode, uint64(code))
	return appendData(dst, closeReason, reason)
}

// AppendJoin appends the command to add sessions to a group.
func AppendJoin(dst []byte, group string, sessions []uint64) []byte {
	return appendGroup(dst, commandJoin, group, sessions)
}

// AppendLeave appends the command to take sessions out of a group.
func AppendLeave(dst []byte, group string, sessions []uint64) []byte {
	return appendGroup(dst, commandLeave, group, sessions)
}

func appendGroup(dst []byte, num byte, group string, sessions []uint64) []byte {
	group = clean(group)
	ids := pack(sessions)
	body := sizeData(len(group)) + sizeData(ids.size)
	dst = appendItem(dst, sizeHead(body)+body)
	dst = appendHead(dst, num, body)
	dst = appendData(dst, groupName, group)
	return appendPacked(dst, groupSessions, ids)
}

// AppendPublish appends a message to all sessions of a group but those of
// except.
func AppendPublish(dst []byte, group string, channel uint32, unreliable bool, payload []byte, except []uint64) []byte {
	group = clean(group)
	ids := pack(except)
	body := sizeData(len(group)) + sizeNumber(uint64(channel)) + sizeNumber(deliveryNumber(unreliable)) +
		sizeData(len(payload)) + sizeData(ids.size)
	dst = appendItem(dst, sizeHead(body)+body)
	dst = appendHead(dst, commandPublish, body)
	dst = appendData(dst, publishGroup, group)
	dst = appendNumber(dst, publishChannel, uint64(channel))
	dst = appendNumber(dst, publishDelivery, deliveryNumber(unreliable))
	dst = appendData(dst, publishPayload, payload)
	return appendPacked(dst, publishExcept, ids)
}

// AppendMove appends the command to hand a session to a backend of another
// route.
func AppendMove(dst []byte, session uint64, route string) []byte {
	route = clean(route)
	body := sizeNumber(session) + sizeData(len(route))
	dst = appendItem(dst, sizeHead(body)+body)
	dst = appendHead(dst, commandMove, body)
	dst = appendNumber(dst, moveSession, session)
	return appendData(dst, moveRoute, route)
}

// AppendLogicHello appends a hello: in the first batch of a stream, and again
// where draining changes. On error, which is text that is not UTF-8, dst comes
// back as it was.
func AppendLogicHello(dst []byte, h *straitv1.LogicHello) ([]byte, error) {
	return appendGenerated(dst, batchHello, h)
}

// AppendPong appends the answer to a ping, behind the commands that earlier
// batches led to.
func AppendPong(dst []byte, pong uint64) []byte { return appendNumber(dst, batchPing, pong) }

// AppendAcked appends how many batches of the stream are processed so far.
func AppendAcked(dst []byte, acked uint64) []byte { return appendNumber(dst, batchAcked, acked) }
