package client

import (
	"errors"
	"syscall"

	"golang.org/x/sys/windows"
)

// tooLong reports whether err says that one packet was longer than the path to send it
// by or, on this system, than the buffer to receive it in.
func tooLong(err error) bool {
	return errors.Is(err, windows.WSAEMSGSIZE) || errors.Is(err, syscall.EMSGSIZE)
}
