//go:build !linux

package game

import "time"

// machineNow is the wall clock: all processes of the machine see the same one.
func machineNow() int64 { return time.Now().UnixNano() }
