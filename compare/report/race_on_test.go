//go:build race

package report_test

// race says that the race detector is on, which makes arithmetic ten times as slow.
const race = true
