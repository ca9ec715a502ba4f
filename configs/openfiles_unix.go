//go:build unix

package configs

import "syscall"

// OpenFiles returns the process's limits of open files. Go raised the soft one to
// the hard one when the process started, where the system let it.
func OpenFiles() (soft, hard uint64, err error) {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0, 0, err
	}
	return uint64(l.Cur), uint64(l.Max), nil
}
