// Package batch is the codec of the batches that the gateway and game logic
// exchange (upstream.proto), for both ends and both directions, with the
// protobuf wire format written and read by hand where messages pass.
//
// It owns the encoding of GatewayBatch and LogicBatch, the length in front of
// each on a byte stream, and MaxBatch. It never reads or writes a connection,
// starts nothing, keeps no buffer of its own, and does not judge what a well
// formed batch asks for: a channel of 999 or an unknown delivery reach the
// caller as they are. Opened, LinkChanged and the hellos are rare and go
// through the generated code.
//
// Sending, on either end:
//
//  1. AppendLength reserves the four bytes of the length; gRPC needs none.
//  2. Any number of Append calls, each of which adds one field of the batch. A
//     batch is nothing but these fields in a row, so there is no end to write.
//  3. PutLength fills the length in. The writer sees to MaxBatch.
//
// Receiving:
//
//  1. ParseLength refuses what is above MaxBatch before anything is read.
//  2. Reset of LogicReader (at the gateway) or GatewayReader (at game logic)
//     checks the whole batch and keeps nothing of it but its hello and numbers.
//     A batch that does not parse shows in Err, and in the first Next, before
//     any command or event of it was seen.
//  3. Next gives command after command, or event after event, in order, as
//     views into the batch.
//
// The readers accept and refuse the same input as proto.Unmarshal does, and
// read the same from it: fields in any order, unknown fields, packed or not,
// the last value where one is repeated, and members of a oneof that merge or
// replace each other. Fuzzing holds them to it. There are two differences, both
// wanted: a batch above MaxBatch is refused, and unknown fields are not kept.
//
// Text that the Append functions write and that is not UTF-8 gets U+FFFD for
// each invalid run, because a batch with invalid text does not parse and would
// end the stream with all its sessions. Where the difference matters (two group
// names that become one) the caller checks with utf8.ValidString first.
package batch
