package batch

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// The field numbers of upstream.proto that this package reads or writes by
// hand. A test compares the shapes below with the generated descriptors.
const (
	batchHello = 1
	batchItems = 2 // events or commands
	batchPing  = 3 // ping or pong
	batchAcked = 4

	eventSession = 1
	eventOpened  = 2
	eventMessage = 3
	eventClosed  = 4
	eventLink    = 5

	messageChannel  = 1
	messageDelivery = 2
	messagePayload  = 3
	messageSequence = 4

	closedCode   = 1
	closedReason = 2

	commandSend    = 1
	commandClose   = 2
	commandJoin    = 3
	commandLeave   = 4
	commandPublish = 5
	commandMove    = 6

	sendSessions = 1
	sendChannel  = 2
	sendDelivery = 3
	sendPayload  = 4

	closeSession = 1
	closeCode    = 2
	closeReason  = 3

	groupName     = 1 // of Join and Leave
	groupSessions = 2

	publishGroup    = 1
	publishChannel  = 2
	publishDelivery = 3
	publishPayload  = 4
	publishExcept   = 5

	moveSession = 1
	moveRoute   = 2
)

// kind is what must hold for the value of a field beyond the wire format.
type kind uint8

const (
	anything kind = iota // also bytes, and numbers of any type, for which nothing more must hold
	text                 // UTF-8
	varints              // a packed list
	nested               // a message
)

// shape is what check needs to know of one message.
type shape struct {
	name   string
	fields []fieldShape // by field number
}

type fieldShape struct {
	name string
	kind kind
	of   *shape // of nested
}

var (
	openedShape = &shape{"Opened", []fieldShape{
		2: {"subject", text, nil},
		3: {"claims", nested, claimShape},
		4: {"remote", text, nil},
		6: {"route", text, nil},
	}}
	claimShape   = &shape{"ClaimsEntry", []fieldShape{1: {"key", text, nil}, 2: {"value", text, nil}}}
	messageShape = &shape{"Message", nil}
	closedShape  = &shape{"Closed", []fieldShape{closedReason: {"reason", text, nil}}}
	linkShape    = &shape{"LinkChanged", []fieldShape{2: {"remote", text, nil}}}

	eventShape = &shape{"Event", []fieldShape{
		eventOpened:  {"opened", nested, openedShape},
		eventMessage: {"message", nested, messageShape},
		eventClosed:  {"closed", nested, closedShape},
		eventLink:    {"link", nested, linkShape},
	}}

	sendShape    = &shape{"Send", []fieldShape{sendSessions: {"sessions", varints, nil}}}
	closeShape   = &shape{"CloseSession", []fieldShape{closeReason: {"reason", text, nil}}}
	joinShape    = &shape{"Join", groupFields}
	leaveShape   = &shape{"Leave", groupFields}
	groupFields  = []fieldShape{groupName: {"group", text, nil}, groupSessions: {"sessions", varints, nil}}
	publishShape = &shape{"Publish", []fieldShape{
		publishGroup:  {"group", text, nil},
		publishExcept: {"except", varints, nil},
	}}
	moveShape = &shape{"Move", []fieldShape{moveRoute: {"route", text, nil}}}

	commandShape = &shape{"Command", []fieldShape{
		commandSend:    {"send", nested, sendShape},
		commandClose:   {"close", nested, closeShape},
		commandJoin:    {"join", nested, joinShape},
		commandLeave:   {"leave", nested, leaveShape},
		commandPublish: {"publish", nested, publishShape},
		commandMove:    {"move", nested, moveShape},
	}}
)

// check says whether proto.Unmarshal would take b as such a message. The error
// is nil or a *MalformedError.
func (s *shape) check(b []byte) error {
	c := cursor{rest: b}
	for c.next() {
		// A field of another wire type than its own is an unknown field; every
		// field with a shape has BytesType, where lists need not be packed.
		if c.typ != protowire.BytesType || int(c.num) >= len(s.fields) {
			continue
		}
		f := &s.fields[c.num]
		var err error
		switch f.kind {
		case anything:
		case text:
			if !utf8.Valid(c.data) {
				err = errNotUTF8
			}
		case varints:
			err = validVarints(c.data)
		case nested:
			err = f.of.check(c.data)
		}
		if err != nil {
			return malformed(f.name, err)
		}
	}
	if len(c.rest) > 0 {
		return malformed("", c.fault())
	}
	return nil
}

var (
	errNotUTF8     = errors.New("text is not UTF-8")
	errFieldNumber = errors.New("field number out of range")
)

// MalformedError says that a batch is not the protobuf message it should be,
// and where.
type MalformedError struct {
	Path string // of the field, as in "LogicBatch.commands[3].publish.group"
	Err  error
}

func (e *MalformedError) Error() string {
	return fmt.Sprintf("%s does not parse: %v", e.Path, e.Err)
}

// Unwrap gives what is wrong with the field.
func (e *MalformedError) Unwrap() error { return e.Err }

// malformed puts name in front of the path of err.
func malformed(name string, err error) error {
	inner, ok := err.(*MalformedError)
	switch {
	case !ok:
		return &MalformedError{Path: name, Err: err}
	case inner.Path == "":
		return &MalformedError{Path: name, Err: inner.Err}
	default:
		return &MalformedError{Path: name + "." + inner.Path, Err: inner.Err}
	}
}
