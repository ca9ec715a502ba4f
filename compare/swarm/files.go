package swarm

import (
	"fmt"

	"strait/client"
)

// spareFiles are for everything but the clients.
const spareFiles = 64

// filesPerClient is how many sockets one client has: those that a session by several
// ways may hold at once are counted in full.
func filesPerClient(t client.Transport) int {
	switch t {
	case client.TCP, client.QUIC:
		return 1
	}
	return 2
}

// enoughFiles says what to do when the process may not open as many sockets as the
// clients need.
func enoughFiles(clients int, t Transport) error {
	if limit, known := openFiles(); known {
		return fits(limit, clients, t)
	}
	return nil
}

func fits(limit uint64, clients int, t Transport) error {
	each := filesPerClient(t.Transport)
	need := uint64(clients*each + spareFiles)
	if need <= limit {
		return nil
	}
	return fmt.Errorf("%d clients on %s need %d open files, and this process may have %d: "+
		"raise the limit (ulimit -n %d, LimitNOFILE=, --ulimit nofile=), or ask for at most %d clients",
		clients, t, need, limit, need, (max(limit, spareFiles)-spareFiles)/uint64(each))
}
