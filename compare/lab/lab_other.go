//go:build !linux

package lab

import (
	"context"
	"errors"
	"os"
	"os/exec"

	"strait/compare/link"
)

var errPlatform = &AccessError{Op: "making a lab", Err: errors.ErrUnsupported, Advice: "run it on Linux, for example in a virtual machine or a privileged container"}

// Lab exists on Linux alone: New fails elsewhere.
type Lab struct{}

// New returns an [*AccessError].
func New(context.Context, Config) (*Lab, error) { return nil, errPlatform }

// Check returns an [*AccessError].
func Check() error { return errPlatform }

// Reexec returns an [*AccessError].
func Reexec(context.Context) (code int, err error) { return 0, errPlatform }

// Addrs returns nothing.
func (*Lab) Addrs(Side) Addrs { return Addrs{} }

// Do returns an error.
func (*Lab) Do(Side, func() error) error { return errPlatform }

// Start returns an error.
func (*Lab) Start(Side, *exec.Cmd) (*Process, error) { return nil, errPlatform }

// Impair returns an error.
func (*Lab) Impair(link.Config) error { return errPlatform }

// ChangeAddress returns an error.
func (*Lab) ChangeAddress() error { return errPlatform }

// Handovers returns nothing.
func (*Lab) Handovers() []Handover { return nil }

// Stats returns an error.
func (*Lab) Stats() (Stats, error) { return Stats{}, errPlatform }

// Close does nothing.
func (*Lab) Close() error { return nil }

// Process exists on Linux alone: Start fails elsewhere.
type Process struct{}

// PID returns 0.
func (*Process) PID() int { return 0 }

// Done returns nil.
func (*Process) Done() <-chan struct{} { return nil }

// Wait returns an error.
func (*Process) Wait(context.Context) error { return errPlatform }

// Signal returns an error.
func (*Process) Signal(os.Signal) error { return errPlatform }

// Stop returns an error.
func (*Process) Stop() error { return errPlatform }
