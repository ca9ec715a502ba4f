package swarm

import "time"

// alarm wakes one goroutine at a time that it names.
type alarm interface {
	// wait returns true when d has passed, false when stop was closed before.
	wait(d time.Duration, stop <-chan struct{}) bool
	close()
}

// timerAlarm is the portable one: a timer of the Go runtime, which an idle process
// hears up to a millisecond late.
type timerAlarm struct{ timer *time.Timer }

func newTimerAlarm() *timerAlarm { return &timerAlarm{time.NewTimer(time.Hour)} }

func (a *timerAlarm) wait(d time.Duration, stop <-chan struct{}) bool {
	a.timer.Reset(max(d, 0))
	select {
	case <-stop:
		return false
	case <-a.timer.C:
		return !closed(stop)
	}
}

func (a *timerAlarm) close() { a.timer.Stop() }

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
