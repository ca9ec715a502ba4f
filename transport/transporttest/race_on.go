//go:build race

package transporttest

// Race says that the race detector is on: what is done by the thousand is done less.
const Race = true
