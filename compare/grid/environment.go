package grid

import (
	"bytes"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"strait/compare/report"
)

// carriers are the modules that carry messages.
var carriers = []string{"github.com/quic-go/quic-go", "github.com/xtaci/kcp-go/v5", "github.com/coder/websocket"}

// environment is what can be known of machine and programs.
func environment(version string) report.Environment {
	e := report.Environment{
		Kernel: "unknown", Processor: "unknown", CPUs: runtime.NumCPU(), Go: runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH,
		Programs: []report.Program{{Name: "strait", Version: version}},
	}
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		e.Kernel = strings.TrimSpace(string(b)) + " " + runtime.GOARCH
	}
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		e.Processor = field(b, "model name", e.Processor)
	}
	if b, err := os.ReadFile("/proc/meminfo"); err == nil {
		kib, _, _ := strings.Cut(field(b, "MemTotal", "0"), " ")
		n, _ := strconv.ParseInt(kib, 10, 64) // 0 if it is no number
		e.MemoryMiB = n >> 10
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if slices.Contains(carriers, m.Path) {
				e.Programs = append(e.Programs, report.Program{Name: m.Path, Version: m.Version})
			}
		}
	}
	return e
}

// field is the value of the first line "name: value"; other if there is none.
func field(text []byte, name, other string) string {
	for line := range bytes.Lines(text) {
		key, value, ok := strings.Cut(string(line), ":")
		if ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return other
}
