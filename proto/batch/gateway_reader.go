package batch

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"strait/proto/straitv1"
)

// EventKind says which event of a session an Event is.
type EventKind uint8

// EventNone is an event that holds none: it is empty, or of a kind that this
// version does not know.
const (
	EventNone EventKind = iota
	EventOpened
	EventMessage
	EventClosed
	EventLink
)

func (k EventKind) String() string {
	if int(k) < len(eventNames) {
		return eventNames[k]
	}
	return fmt.Sprintf("EventKind(%d)", uint8(k))
}

var eventNames = [...]string{"none", "opened", "message", "closed", "link"}

// Event is one event of a GatewayBatch. Slices are valid until the next call of
// Next or Reset; Opened and Link are the caller's to keep.
type Event struct {
	Kind    EventKind
	Session uint64

	Channel    uint32            // Message
	Delivery   straitv1.Delivery // Message
	Unreliable bool              // Message: Delivery is DELIVERY_UNRELIABLE
	Sequence   uint32            // Message, unreliable only
	Payload    []byte            // Message; borrowed from the batch

	Code   uint32 // Closed
	Reason []byte // Closed; UTF-8; borrowed from the batch

	Opened *straitv1.Opened      // Opened, else nil
	Link   *straitv1.LinkChanged // Link, else nil
}

// GatewayReader reads GatewayBatches, one after the other. The zero value is an
// empty batch. It is not safe for concurrent use.
type GatewayReader struct {
	items cursor
	event Event
	hello *straitv1.GatewayHello
	ping  uint64
	err   error
}

// Reset begins with another batch and checks the whole of it. src is borrowed
// until the next Reset and must not change until then; Reset(nil) lets go of it.
func (r *GatewayReader) Reset(src []byte) {
	*r = GatewayReader{}
	if r.err = r.check(src); r.err != nil {
		r.hello, r.ping = nil, 0
		return
	}
	r.items.rest = src
}

func (r *GatewayReader) check(src []byte) error {
	if len(src) > MaxBatch {
		return &SizeError{Size: uint64(len(src))}
	}
	events := 0
	c := cursor{rest: src}
	for c.next() {
		switch {
		case c.num == batchItems && c.typ == protowire.BytesType:
			if err := eventShape.check(c.data); err != nil {
				return malformed(fmt.Sprintf("GatewayBatch.events[%d]", events), err)
			}
			events++
		case c.num == batchHello && c.typ == protowire.BytesType:
			if r.hello == nil {
				r.hello = new(straitv1.GatewayHello)
			}
			if err := mergeInto(r.hello, c.data); err != nil {
				return malformed("GatewayBatch.hello", err)
			}
		case c.num == batchPing && c.typ == protowire.VarintType:
			r.ping = c.val
		}
	}
	if len(c.rest) > 0 {
		return malformed("GatewayBatch", c.fault())
	}
	return nil
}

// Err is nil where the batch parses, else a *MalformedError or a *SizeError.
func (r *GatewayReader) Err() error { return r.err }

// Hello is the batch's hello, or nil. It is the caller's to keep.
func (r *GatewayReader) Hello() *straitv1.GatewayHello { return r.hello }

// Ping is to be answered by a pong once what the batches before led to at once
// has been sent; 0 is none.
func (r *GatewayReader) Ping() uint64 { return r.ping }

// Next gives the next event, in the order of the batch. ok is false at the end,
// and for a batch that does not parse, where err is Err and no event was given
// at all. ev is overwritten by the next call.
func (r *GatewayReader) Next() (ev *Event, ok bool, err error) {
	for r.items.next() {
		if r.items.num == batchItems && r.items.typ == protowire.BytesType {
			if err := r.event.read(r.items.data); err != nil {
				r.items, r.err = cursor{}, malformed("GatewayBatch.events", err)
				return nil, false, r.err
			}
			return &r.event, true, nil
		}
	}
	return nil, false, r.err
}

// read returns an error only where src changed since it was checked.
func (e *Event) read(src []byte) error {
	*e = Event{}
	f := cursor{rest: src}
	for f.next() {
		if f.num == eventSession && f.typ == protowire.VarintType {
			e.Session = f.val
			continue
		}
		if f.typ != protowire.BytesType || f.num < eventOpened || f.num > eventLink {
			continue
		}
		// The oneof counts its numbers from 2, the kinds from 1. The same member
		// again is merged into the first, another one replaces it.
		if kind := EventKind(f.num - eventOpened + 1); kind != e.Kind {
			*e = Event{Kind: kind, Session: e.Session}
		}
		switch e.Kind {
		case EventOpened:
			if e.Opened == nil {
				e.Opened = new(straitv1.Opened)
			}
			if err := mergeInto(e.Opened, f.data); err != nil {
				return malformed("opened", err)
			}
		case EventMessage:
			e.readMessage(f.data)
		case EventClosed:
			e.readClosed(f.data)
		case EventLink:
			if e.Link == nil {
				e.Link = new(straitv1.LinkChanged)
			}
			if err := mergeInto(e.Link, f.data); err != nil {
				return malformed("link", err)
			}
		}
	}
	return nil
}

func (e *Event) readMessage(src []byte) {
	f := cursor{rest: src}
	for f.next() {
		switch f.typ {
		case protowire.VarintType:
			switch f.num {
			case messageChannel:
				e.Channel = uint32(f.val)
			case messageDelivery:
				e.Delivery = straitv1.Delivery(f.val)
				e.Unreliable = e.Delivery == straitv1.Delivery_DELIVERY_UNRELIABLE
			case messageSequence:
				e.Sequence = uint32(f.val)
			}
		case protowire.BytesType:
			if f.num == messagePayload {
				e.Payload = f.data
			}
		}
	}
}

func (e *Event) readClosed(src []byte) {
	f := cursor{rest: src}
	for f.next() {
		switch {
		case f.num == closedCode && f.typ == protowire.VarintType:
			e.Code = uint32(f.val)
		case f.num == closedReason && f.typ == protowire.BytesType:
			e.Reason = f.data
		}
	}
}
