package game

import (
	"time"

	"golang.org/x/sys/unix"
)

// machineNow is CLOCK_MONOTONIC, which network namespaces share.
func machineNow() int64 {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) != nil {
		return time.Now().UnixNano()
	}
	return ts.Nano()
}
