package grid

import (
	"bytes"
	"os"
	"strconv"
)

// cores is how long each core has been busy, and how long it has been there, in ticks.
type cores []struct{ busy, all uint64 }

// readCores asks the kernel; nil if it does not tell.
func readCores() cores {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return nil
	}
	return parseCores(b)
}

// parseCores reads the lines cpu0 and so on: user, nice, system, idle, iowait, irq,
// softirq, steal (proc_stat(5)). What a hypervisor has stolen was busy for us.
func parseCores(stat []byte) (out cores) {
	for line := range bytes.Lines(stat) {
		fields := bytes.Fields(line)
		if len(fields) < 9 || !bytes.HasPrefix(fields[0], []byte("cpu")) || len(fields[0]) == len("cpu") {
			continue
		}
		var one struct{ busy, all uint64 }
		for i, f := range fields[1:9] {
			n, err := strconv.ParseUint(string(f), 10, 64)
			if err != nil {
				return nil
			}
			one.all += n
			if i != 3 && i != 4 {
				one.busy += n
			}
		}
		out = append(out, one)
	}
	return out
}

// until returns the share of the time between c and later that each core was busy; nil
// if it is not known.
func (c cores) until(later cores) (out []float64) {
	if len(c) != len(later) {
		return nil // a core came or went
	}
	for i := range c {
		if all := later[i].all - c[i].all; all > 0 {
			out = append(out, float64(later[i].busy-c[i].busy)/float64(all))
		}
	}
	return out
}
