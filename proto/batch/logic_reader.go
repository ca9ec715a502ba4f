package batch

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"strait/proto/straitv1"
)

// CommandKind says which command of game logic a Command is.
type CommandKind uint8

// CommandNone is a command that holds none: it is empty, or of a kind that this
// version does not know.
const (
	CommandNone CommandKind = iota
	CommandSend
	CommandClose
	CommandJoin
	CommandLeave
	CommandPublish
	CommandMove
)

func (k CommandKind) String() string {
	if int(k) < len(commandNames) {
		return commandNames[k]
	}
	return fmt.Sprintf("CommandKind(%d)", uint8(k))
}

var commandNames = [...]string{"none", "send", "close", "join", "leave", "publish", "move"}

// Command is one command of a LogicBatch. All slices are valid until the next
// call of Next or Reset. The numbers are what game logic wrote: a channel above
// 255, a delivery that is neither reliable nor unreliable and a close code of no
// meaning are the caller's to refuse and to count.
type Command struct {
	Kind CommandKind

	Sessions []uint64 // Send, Join, Leave; the reader's own
	Session  uint64   // Close, Move
	Group    []byte   // Join, Leave, Publish; UTF-8; borrowed from the batch
	Except   []uint64 // Publish; the reader's own
	Route    []byte   // Move; UTF-8; borrowed from the batch

	Channel    uint32            // Send, Publish
	Delivery   straitv1.Delivery // Send, Publish
	Unreliable bool              // Send, Publish: Delivery is DELIVERY_UNRELIABLE
	Payload    []byte            // Send, Publish; borrowed from the batch

	Code   uint32 // Close
	Reason []byte // Close; UTF-8; borrowed from the batch
}

// LogicReader reads LogicBatches, one after the other. The zero value is an
// empty batch. It is not safe for concurrent use. What it keeps between batches
// is two lists of handles, of at most 128 KiB each.
type LogicReader struct {
	items cursor
	cmd   Command
	hello *straitv1.LogicHello
	pong  uint64
	acked uint64
	err   error
}

// Reset begins with another batch and checks the whole of it. src is borrowed
// until the next Reset and must not change until then; Reset(nil) lets go of it.
func (r *LogicReader) Reset(src []byte) {
	*r = LogicReader{cmd: Command{Sessions: reuse(r.cmd.Sessions), Except: reuse(r.cmd.Except)}}
	if r.err = r.check(src); r.err != nil {
		r.hello, r.pong, r.acked = nil, 0, 0
		return
	}
	r.items.rest = src
}

func (r *LogicReader) check(src []byte) error {
	if len(src) > MaxBatch {
		return &SizeError{Size: uint64(len(src))}
	}
	commands := 0
	c := cursor{rest: src}
	for c.next() {
		switch {
		case c.num == batchItems && c.typ == protowire.BytesType:
			if err := commandShape.check(c.data); err != nil {
				return malformed(fmt.Sprintf("LogicBatch.commands[%d]", commands), err)
			}
			commands++
		case c.num == batchHello && c.typ == protowire.BytesType:
			if r.hello == nil {
				r.hello = new(straitv1.LogicHello)
			}
			if err := mergeInto(r.hello, c.data); err != nil {
				return malformed("LogicBatch.hello", err)
			}
		case c.num == batchPing && c.typ == protowire.VarintType:
			r.pong = c.val
		case c.num == batchAcked && c.typ == protowire.VarintType:
			r.acked = c.val
		}
	}
	if len(c.rest) > 0 {
		return malformed("LogicBatch", c.fault())
	}
	return nil
}

// Err is nil where the batch parses, else a *MalformedError or a *SizeError.
func (r *LogicReader) Err() error { return r.err }

// Hello is the batch's hello, or nil. It is the caller's to keep.
func (r *LogicReader) Hello() *straitv1.LogicHello { return r.hello }

// Pong is the ping that the batch answers, behind all its commands; 0 is none.
func (r *LogicReader) Pong() uint64 { return r.pong }

// Acked is how many batches of the stream are processed so far; 0 says nothing.
func (r *LogicReader) Acked() uint64 { return r.acked }

// Next gives the next command, in the order of the batch. ok is false at the
// end, and for a batch that does not parse, where err is Err and no command was
// given at all. cmd is overwritten by the next call.
func (r *LogicReader) Next() (cmd *Command, ok bool, err error) {
	for r.items.next() {
		if r.items.num == batchItems && r.items.typ == protowire.BytesType {
			r.cmd.read(r.items.data)
			return &r.cmd, true, nil
		}
	}
	return nil, false, r.err
}

func (c *Command) read(src []byte) {
	c.become(CommandNone)
	f := cursor{rest: src}
	for f.next() {
		if f.typ != protowire.BytesType || f.num > commandMove {
			continue
		}
		// The numbers of the oneof are those of the kinds. The same member again
		// is merged into the first, another one replaces it.
		if kind := CommandKind(f.num); kind != c.Kind {
			c.become(kind)
		}
		switch c.Kind {
		case CommandSend:
			c.readSend(f.data)
		case CommandClose:
			c.readClose(f.data)
		case CommandJoin, CommandLeave:
			c.readGroup(f.data)
		case CommandPublish:
			c.readPublish(f.data)
		case CommandMove:
			c.readMove(f.data)
		}
	}
}

func (c *Command) become(kind CommandKind) {
	*c = Command{Kind: kind, Sessions: c.Sessions[:0], Except: c.Except[:0]}
}

func (c *Command) setDelivery(v uint64) {
	c.Delivery = straitv1.Delivery(v)
	c.Unreliable = c.Delivery == straitv1.Delivery_DELIVERY_UNRELIABLE
}

func (c *Command) readSend(src []byte) {
	f := cursor{rest: src}
	for f.next() {
		switch f.typ {
		case protowire.VarintType:
			switch f.num {
			case sendSessions:
				c.Sessions = append(c.Sessions, f.val)
			case sendChannel:
				c.Channel = uint32(f.val)
			case sendDelivery:
				c.setDelivery(f.val)
			}
		case protowire.BytesType:
			switch f.num {
			case sendSessions:
				c.Sessions = appendVarints(c.Sessions, f.data)
			case sendPayload:
				c.Payload = f.data
			}
		}
	}
}

func (c *Command) readClose(src []byte) {
	f := cursor{rest: src}
	for f.next() {
		switch {
		case f.num == closeSession && f.typ == protowire.VarintType:
			c.Session = f.val
		case f.num == closeCode && f.typ == protowire.VarintType:
			c.Code = uint32(f.val)
		case f.num == closeReason && f.typ == protowire.BytesType:
			c.Reason = f.data
		}
	}
}

func (c *Command) readGroup(src []byte) {
	f := cursor{rest: src}
	for f.next() {
		switch {
		case f.num == groupName && f.typ == protowire.BytesType:
			c.Group = f.data
		case f.num == groupSessions && f.typ == protowire.BytesType:
			c.Sessions = appendVarints(c.Sessions, f.data)
		case f.num == groupSessions && f.typ == protowire.VarintType:
			c.Sessions = append(c.Sessions, f.val)
		}
	}
}

func (c *Command) readPublish(src []byte) {
	f := cursor{rest: src}
	for f.next() {
		switch f.typ {
		case protowire.VarintType:
			switch f.num {
			case publishChannel:
				c.Channel = uint32(f.val)
			case publishDelivery:
				c.setDelivery(f.val)
			case publishExcept:
				c.Except = append(c.Except, f.val)
			}
		case protowire.BytesType:
			switch f.num {
			case publishGroup:
				c.Group = f.data
			case publishPayload:
				c.Payload = f.data
			case publishExcept:
				c.Except = appendVarints(c.Except, f.data)
			}
		}
	}
}

func (c *Command) readMove(src []byte) {
	f := cursor{rest: src}
	for f.next() {
		switch {
		case f.num == moveSession && f.typ == protowire.VarintType:
			c.Session = f.val
		case f.num == moveRoute && f.typ == protowire.BytesType:
			c.Route = f.data
		}
	}
}

// mergeInto reads another occurrence of a message that is to be there once.
// Unknown fields are dropped: nothing is ever passed on.
func mergeInto(m proto.Message, b []byte) error {
	return proto.UnmarshalOptions{Merge: true, DiscardUnknown: true}.Unmarshal(b, m)
}

// reuse keeps a list's memory for the next batch unless one batch made it large.
func reuse(ids []uint64) []uint64 {
	const most = 128 << 10 / 8
	if cap(ids) > most {
		return nil
	}
	return ids[:0]
}
