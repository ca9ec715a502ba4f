//go:build unix

package swarm

import "golang.org/x/sys/unix"

// openFiles is how many files this process may open; the Go runtime has raised the
// limit as far as it can. False: nobody knows.
func openFiles() (n uint64, known bool) {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return 0, false
	}
	return uint64(limit.Cur), true
}
