// Package wire is the codec of the frames that every reliable lane carries
// (WIRE.md section 2): header, limits, and the few payloads that the lanes
// themselves read and write.
//
// It owns the layout of a frame and the rules that a header alone can break. It
// never reads or writes a connection, keeps no state between frames and so
// knows nothing of turns ("CLIENT_HELLO once, first"): that is the lane's. But
// for CLOSE and errors it allocates nothing.
//
// Receiving:
//
//  1. ParseHeader as soon as HeaderLen bytes are there.
//  2. Limits.Check on the header, before any payload is buffered. An *Error is
//     the end of the connection: its text is the reason of the CLOSE to send.
//  3. Buffer Header.Length bytes. Where Type.Skippable, drop them.
//  4. ParseUnreliable, ParsePong, ParseClose, or the protobuf message of the type.
//
// Sending: AppendFrame, AppendUnreliable, AppendPong, AppendClose to a buffer;
// or, where the payload is in place already, PutHeader in front of it.
package wire
