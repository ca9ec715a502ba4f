// Package oneport proves that sealed UDP and QUIC live on one socket as each does on
// one of its own. It has tests alone: neither package udp nor package quic may know the
// other.
package oneport
