//go:build !linux

package swarm

// newAlarm returns the portable one.
func newAlarm() alarm { return newTimerAlarm() }
