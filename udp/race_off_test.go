//go:build !race

package udp

const race = false
