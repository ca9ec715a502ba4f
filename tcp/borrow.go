package tcp

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"reflect"
	"unsafe"
)

// crypto/tls collects ciphertext in a buffer of its own, rawInput, which grows to
// the largest record ever seen and is never given back, is filled by copying, and
// costs an allocation a record on the way. A connection on an event loop instead
// lends it the loop's read buffer for one turn. That field is not part of the
// package's API, so its place is looked up by name and type at start; where it is
// not what is expected, rawInputAt is -1 and the loop goes the long way, through
// the connection's Read, with the same behaviour and more memory.
var rawInputAt = findRawInput(reflect.TypeFor[tls.Conn]())

func findRawInput(t reflect.Type) int {
	f, ok := t.FieldByName("rawInput")
	if !ok || f.Type != reflect.TypeFor[bytes.Buffer]() {
		return -1
	}
	return int(f.Offset)
}

// rawInput returns the buffer in which c collects ciphertext. Only the reader of
// c may touch it, between two calls of Read.
func rawInput(c *tls.Conn) *bytes.Buffer {
	return (*bytes.Buffer)(unsafe.Add(unsafe.Pointer(c), rawInputAt))
}

// wholeRecord reports whether b begins with a complete TLS record, or with
// something that crypto/tls will refuse from its header.
func wholeRecord(b []byte) bool {
	const most = 16384 + 2048 // RFC 8446 section 5.2 allows less, RFC 5246 this much
	if len(b) < recordHeaderLen {
		return false
	}
	n := int(binary.BigEndian.Uint16(b[3:]))
	return n > most || len(b) >= recordHeaderLen+n
}
