package wire

import (
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"strait/proto/straitv1"
)

// MaxReason is the longest reason of a CLOSE, in bytes of UTF-8.
const MaxReason = 256

// noReason stands for an empty reason: WIRE.md asks for at least one byte.
const noReason = "no reason given"

// AppendClose appends a whole CLOSE frame to dst. The reason is brought into
// the form that WIRE.md asks for: what is not UTF-8 is replaced by U+FFFD, what
// goes beyond MaxReason is cut off between two characters, and an empty reason
// becomes "no reason given". retryAfterMs 0 says nothing about coming back.
func AppendClose(dst []byte, code uint32, reason string, retryAfterMs uint32) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, HeaderLen)...)
	// A message of two numbers and valid text has no way to fail.
	dst, _ = proto.MarshalOptions{}.MarshalAppend(dst, &straitv1.Close{
		Code: code, Reason: fitReason(reason), RetryAfterMs: retryAfterMs,
	})
	PutHeader(dst[start:], Header{Length: uint32(len(dst) - start - HeaderLen), Type: Close})
	return dst
}

// ParseClose reads the payload of a CLOSE frame, which is borrowed until
// return. A reason that is too long or empty is brought into the form that
// AppendClose gives it rather than refused, because the connection ends either
// way; code is whatever the peer sent. The error is an *Error.
func ParseClose(payload []byte) (code uint32, reason string, retryAfterMs uint32, err error) {
	var m straitv1.Close
	if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(payload, &m); err != nil {
		h := Header{Length: uint32(len(payload)), Type: Close}
		return 0, "", 0, &Error{Rule: Malformed, Header: h, Err: err}
	}
	return m.GetCode(), fitReason(m.GetReason()), m.GetRetryAfterMs(), nil
}

// fitReason gives 1 to MaxReason bytes of UTF-8.
func fitReason(s string) string {
	s = strings.ToValidUTF8(s, string(utf8.RuneError))
	if s == "" {
		return noReason
	}
	if len(s) <= MaxReason {
		return s
	}
	end := MaxReason
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}
