package remote

import (
	"context"
	"crypto/tls"

	"strait/proto/batch"
	"strait/upstream/endpoint"
)

// Headroom is the number of bytes in front of each batch that the carrier may
// overwrite, for a length or another prefix.
const Headroom = batch.LengthLen

// Carrier opens streams to backends, for one or more schemes of URLs.
type Carrier interface {
	// Schemes are those of the URLs of its backends.
	Schemes() endpoint.Schemes
	// Dial opens one stream to address, one of those that the endpoint's name
	// resolved to as "ip:port", or the path of its socket. conf is for endpoints
	// that are Secure and is not changed; nil is the defaults.
	Dial(ctx context.Context, e endpoint.Endpoint, address string, conf *tls.Config) (Stream, error)
}

// TryWriter is a Stream that can write without waiting.
type TryWriter interface {
	// TryWrite sends what it can of the batch b[Headroom:] at once and returns how
	// many bytes of b, of which the front is filled in, that were; errors count as
	// nothing sent. b must stay as it is until WriteRest has sent the others.
	TryWrite(b []byte) (n int)
	// WriteRest sends what TryWrite left, and may wait.
	WriteRest(b []byte) error
}

// Stream carries batches both ways. One goroutine reads and one writes; Close may
// come from any and unblocks both.
type Stream interface {
	// Write sends the batch b[Headroom:]; b is borrowed until return and what is in
	// front may be overwritten. An error means that the backend cannot have got the
	// batch as a whole.
	Write(b []byte) error
	// Read returns the next batch, borrowed until the next Read; io.EOF when the
	// backend ended the stream between two batches.
	Read() ([]byte, error)
	// CloseWrite tells the backend that nothing more will come.
	CloseWrite() error
	// Close ends the stream both ways at once. Idempotent.
	Close() error
}
