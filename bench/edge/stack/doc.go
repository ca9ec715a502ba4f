//go:build linux

// Package stack starts a proxy with an echo behind it, and ends both.
//
// It owns the processes, their configuration and their folder. It never loads or
// measures them.
//
//  1. Missing says what has to be installed for the targets that were chosen.
//  2. NewCertificate makes the one certificate, ECDSA P-256, that all present.
//  3. Start renders the proxy's configuration, starts the echo and the proxy on a
//     free port of 127.0.0.1, and returns when the proxy accepts connections.
//  4. Err tells whether one of them ended by itself; Stop ends both, with all
//     workers, and removes the folder.
//
// All proxies terminate TLS 1.3 with the same cipher suite and group, have
// TCP_NODELAY set, and reach their echo over a Unix socket. nginx and HAProxy have
// one worker, and connect to the echo once for each client.
package stack
