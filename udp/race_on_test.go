//go:build race

package udp

// race says that the race detector is on, with which sync.Pool forgets on purpose.
const race = true
