package grpc

import (
	"context"
	"fmt"

	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"strait/upstream/endpoint"
)

// check asks the health service of the server; service is empty for the server as a
// whole. A server that does not know the service, or has no health service, is
// healthy as far as it says.
func (c *connection) check(ctx context.Context, service string) error {
	r, err := healthpb.NewHealthClient(c).Check(ctx, &healthpb.HealthCheckRequest{Service: service})
	switch status.Code(err) {
	case codes.OK:
		if s := r.GetStatus(); s != healthpb.HealthCheckResponse_SERVING {
			return &HealthError{Address: c.address, Service: service, Status: s}
		}
		return nil
	case codes.Unimplemented, codes.NotFound:
		return nil
	case codes.DeadlineExceeded: // also where the server's clock was the first
		return fmt.Errorf("no gRPC answer from %s in time: %w", c.address, context.DeadlineExceeded)
	case codes.Unavailable:
		return fmt.Errorf("no gRPC with %s, where there should be HTTP/2 %s: %w", c.address, c.form(), err)
	}
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("no gRPC answer from %s: %w", c.address, cause)
	}
	return fmt.Errorf("the server at %s cannot say whether it is healthy: %w", c.address, err)
}

// form is how the connection speaks, and the scheme for it.
func (c *connection) form() string {
	if c.secure {
		return "over TLS (" + endpoint.GRPC.TLS + ")"
	}
	return "without TLS (for TLS the scheme is " + endpoint.GRPC.TLS + ")"
}
