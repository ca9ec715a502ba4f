//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"strait/bench/edge/load"
	"strait/bench/edge/stack"
)

// facts say on what figures were taken.
type facts struct {
	CPUs      int    `json:"cpus"`
	Processor string `json:"processor"`
	MemoryMiB int64  `json:"memory_mib"`
	Kernel    string `json:"kernel"`
	Go        string `json:"go"`
	TLS       string `json:"tls"`
	// Programs are the targets' versions, in their order.
	Programs []program `json:"programs"`
}

type program struct {
	Target  string `json:"target"`
	Version string `json:"version"`
}

func newFacts(targets []stack.Target) facts {
	f := facts{CPUs: runtime.NumCPU(), Go: runtime.Version(), Processor: "unknown", Kernel: "unknown"}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		f.Kernel = unix.ByteSliceToString(u.Release[:]) + " " + unix.ByteSliceToString(u.Machine[:])
	}
	var si unix.Sysinfo_t
	if unix.Sysinfo(&si) == nil {
		f.MemoryMiB = int64(si.Totalram) * int64(si.Unit) >> 20
	}
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		f.Processor = processor(b)
	}
	for _, t := range targets {
		f.Programs = append(f.Programs, program{t.Name, t.Version()})
	}
	return f
}

// processor finds the model's name in /proc/cpuinfo, whose contents are borrowed
// until return. Not every architecture gives one.
func processor(cpuinfo []byte) string {
	for line := range bytes.Lines(cpuinfo) {
		name, value, ok := bytes.Cut(line, []byte(":"))
		if ok && string(bytes.TrimSpace(name)) == "model name" {
			return string(bytes.TrimSpace(value))
		}
	}
	return "unknown"
}

// negotiated keeps what the handshakes came to. Targets that came to different
// things did different work.
func (f *facts) negotiated(target string, n load.Negotiated) error {
	if n == (load.Negotiated{}) {
		return nil // it has no TLS
	}
	if f.TLS == "" {
		f.TLS = n.String()
	}
	if f.TLS != n.String() {
		return fmt.Errorf("%s negotiated %s, the target before it %s: these do not compare", target, n, f.TLS)
	}
	return nil
}

// lines are the facts for people.
func (f facts) lines() []string {
	out := []string{
		fmt.Sprintf("%d CPUs (%s), %d MiB, Linux %s", f.CPUs, f.Processor, f.MemoryMiB, f.Kernel),
		fmt.Sprintf("load generator: %s", f.Go),
	}
	if f.TLS != "" {
		out = append(out, "negotiated: "+f.TLS)
	}
	for _, p := range f.Programs {
		out = append(out, fmt.Sprintf("%s: %s", p.Target, strings.TrimSpace(p.Version)))
	}
	return out
}
