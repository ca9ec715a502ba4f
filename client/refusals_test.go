package client_test

import "runtime"

// refusalsAreHeard is whether an unconnected UDP socket hears of ICMP errors here.
const refusalsAreHeard = runtime.GOOS == "linux"
