package configs

import (
	"bufio"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
)

// unknownMemory stands for the memory of a system that is not asked for it (any but
// Linux), in bytes.
const unknownMemory = gib

// BufferBudget returns how many bytes all sessions together may have waiting, and
// where the figure comes from: what was configured or, for 0, a quarter of GOMEMLIMIT
// if there is one, else of the memory that this process may use.
func (c *Config) BufferBudget() (bytes int64, basis string) {
	return c.bufferBudget(debug.SetMemoryLimit(-1), os.DirFS("/"))
}

func (c *Config) bufferBudget(goLimit int64, root fs.FS) (bytes int64, basis string) {
	if n := c.Gateway.BufferBudget; n > 0 {
		return n, nameBufferBudget
	}
	memory, basis := goLimit, "GOMEMLIMIT"
	if memory == math.MaxInt64 {
		memory, basis = usableMemory(root)
	}
	return memory / 4, fmt.Sprintf("a quarter of %s (%d)", basis, memory)
}

// usableMemory returns the least of the machine's memory and the limits of the
// control groups, version 2 and version 1, that the process lives in.
func usableMemory(root fs.FS) (bytes int64, basis string) {
	bytes, basis = math.MaxInt64, ""
	if n, ok := memTotal(root); ok {
		bytes, basis = n, "the machine's memory"
	}
	for _, name := range cgroupLimits(root) {
		if n, ok := readLimit(root, name); ok && n < bytes {
			bytes, basis = n, "the control group's memory limit"
		}
	}
	if basis == "" {
		return unknownMemory, "an assumed 1 GiB of memory"
	}
	return bytes, basis
}

// memTotal reads /proc/meminfo, which counts in KiB.
func memTotal(root fs.FS) (bytes int64, ok bool) {
	f, err := root.Open("proc/meminfo")
	if err != nil {
		return 0, false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		words := strings.Fields(lines.Text())
		if len(words) >= 2 && words[0] == "MemTotal:" {
			n, err := strconv.ParseInt(words[1], 10, 64)
			return n * kib, err == nil && n > 0
		}
	}
	return 0, false
}

// cgroupLimits returns the files that may hold a memory limit of this process: that
// of its group and those of all groups above, for each hierarchy. A container often
// sees its own group as the root, whatever path the kernel reports, so that files on
// the way may be missing.
func cgroupLimits(root fs.FS) []string {
	table, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return nil
	}
	var out []string
	for line := range strings.Lines(string(table)) {
		hierarchy, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, group, ok := strings.Cut(rest, ":")
		if !ok {
			continue
		}
		base, file := "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		switch {
		case hierarchy == "0" && controllers == "":
			base, file = "sys/fs/cgroup", "memory.max"
		case !strings.Contains(","+controllers+",", ",memory,"):
			continue
		}
		for group = path.Clean("/" + group); ; group = path.Dir(group) {
			out = append(out, path.Join(base, group, file))
			if group == "/" {
				break
			}
		}
	}
	return out
}

// readLimit reads a limit in bytes. Version 2 writes max for none; version 1 a number
// beyond any memory, which needs no special care.
func readLimit(root fs.FS, name string) (bytes int64, ok bool) {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return n, err == nil && n > 0
}
