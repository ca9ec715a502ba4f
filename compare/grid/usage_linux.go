package grid

import (
	"time"

	"golang.org/x/sys/unix"
)

// used is what this process has used so far; nil if the system does not tell.
func used() *usage {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return nil
	}
	return &usage{cpu: time.Duration(u.Utime.Nano() + u.Stime.Nano()), peak: uint64(u.Maxrss) << 10}
}
