package grpc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"time"

	"strait/upstream/endpoint"
	"strait/upstream/remote"
)

// Service is what game logic serves.
const Service = "strait.v1.GameLogic"

// method is the call that a stream is.
const method = "/" + Service + "/Attach"

// Carrier dials backends for package remote.
type Carrier struct{}

var _ remote.Carrier = Carrier{}

// Schemes implements [remote.Carrier].
func (Carrier) Schemes() endpoint.Schemes { return endpoint.GRPC }

// Dial implements [remote.Carrier]. A server that can be reached is refused with a
// *[HealthError] where it says that it does not serve, and a *[MissingError] where it
// has no game logic.
func (Carrier) Dial(ctx context.Context, e endpoint.Endpoint, address string, conf *tls.Config) (remote.Stream, error) {
	c, err := connect(ctx, e, address, conf)
	if err != nil {
		return nil, err
	}
	s, err := c.attach(ctx)
	if err != nil {
		c.Close()
		return nil, err
	}
	return s, nil
}

// refusal is how much longer than another call on the same connection a server may
// take to refuse Attach. Only backends that wait for the first batch before they say
// hello cost this time, once a stream.
const refusal = 50 * time.Millisecond

// attach opens the stream of a healthy server.
func (c *connection) attach(ctx context.Context) (*stream, error) {
	for _, service := range []string{"", Service} {
		if err := c.check(ctx, service); err != nil {
			return nil, err
		}
	}
	s, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	// A server takes the calls of a connection in order: this answer comes behind the
	// one that refuses Attach, or close to it.
	err = c.check(ctx, "")
	if early := s.early(ctx, refusal); early != nil {
		err = early
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("no game logic at %s: %w", c.address, errAtOnce)
		}
	}
	if err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}
