// Package frames reads batches off a byte stream, for both ends of a link: the
// gateway's (upstream/link) and game logic's (backend). It owns the buffers of one
// stream; the length in front of each batch and its limit are proto/batch's.
package frames

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"strait/proto/batch"
)

const (
	// readBuffer is how much one read asks for at most, and the longest batch in bytes
	// that is not copied.
	readBuffer = 64 << 10
	// keepLong is up to what size the buffer for longer batches is kept.
	keepLong = 1 << 20
)

// Reader reads batches. What it allocates grows with what has arrived, not with what
// a length promises. It is for one goroutine.
type Reader struct {
	in   *bufio.Reader
	lent int          // bytes at the front of in that the last batch takes
	long bytes.Buffer // a batch that in has no room for
}

// NewReader returns a Reader of the stream r.
func NewReader(r io.Reader) *Reader {
	return &Reader{in: bufio.NewReaderSize(r, readBuffer)}
}

// Next returns the next batch, borrowed until the next call. The error is io.EOF when
// the stream ended between two batches, io.ErrUnexpectedEOF within one, a
// *batch.SizeError, or the stream's own.
func (r *Reader) Next() ([]byte, error) {
	_, _ = r.in.Discard(r.lent) // it was all there
	r.lent = 0
	head, err := r.in.Peek(batch.LengthLen)
	if err != nil {
		if len(head) > 0 {
			err = cut(err)
		}
		return nil, err
	}
	length, err := batch.ParseLength([batch.LengthLen]byte(head))
	if err != nil {
		return nil, err
	}
	_, _ = r.in.Discard(batch.LengthLen)
	n := int(length)
	if n <= r.in.Size() {
		b, err := r.in.Peek(n)
		if err != nil {
			return nil, cut(err)
		}
		r.lent = n
		return b, nil
	}
	r.long.Reset()
	if _, err := io.CopyN(&r.long, r.in, int64(n)); err != nil {
		return nil, cut(err)
	}
	b := r.long.Bytes()
	if r.long.Cap() > keepLong {
		r.long = bytes.Buffer{}
	}
	return b, nil
}

// cut is the error for a batch that ended early.
func cut(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
