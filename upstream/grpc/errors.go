package grpc

import (
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// MissingError says that a server answers gRPC, but has no game logic.
type MissingError struct {
	Address string
	Says    string // the server's own words
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("the server at %s does not implement %s: %s", e.Address, Service, e.Says)
}

// HealthError says that a server's health service does not call it SERVING.
type HealthError struct {
	Address string
	Service string // what was asked for, empty for the whole server
	Status  healthpb.HealthCheckResponse_ServingStatus
}

func (e *HealthError) Error() string {
	of := "the server"
	if e.Service != "" {
		of = e.Service
	}
	return fmt.Sprintf("the server at %s says that %s is %s (grpc.health.v1)", e.Address, of, e.Status)
}

var (
	errReconnect = errors.New("the connection was lost")
	errAtOnce    = errors.New("it ended the stream at once, without an error")
)

// ended explains why Attach ended; io.EOF stays what it is. Others wrap gRPC's
// status.
func ended(address string, err error) error {
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	if s := status.Convert(err); s.Code() == codes.Unimplemented {
		return &MissingError{Address: address, Says: s.Message()}
	}
	return fmt.Errorf("the stream to %s ended: %w", address, err)
}
