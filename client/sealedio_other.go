//go:build !windows

package client

import (
	"errors"
	"syscall"
)

// tooLong reports whether err says that one packet was longer than the path that it
// was to go.
func tooLong(err error) bool { return errors.Is(err, syscall.EMSGSIZE) }
