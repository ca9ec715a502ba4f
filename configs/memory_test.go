package configs

import (
	"math"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
)

func TestBufferBudget(t *testing.T) {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	meminfo := file("MemTotal:        8388608 kB\nMemFree: 1 kB\n") // 8 GiB
	const v1None = "9223372036854771712\n"
	for name, tc := range map[string]struct {
		configured int64
		goLimit    int64
		root       fstest.MapFS
		want       int64
		says       string
	}{
		"configured":      {configured: 5 * mib, goLimit: gib, want: 5 * mib, says: "STRAIT_BUFFER_BUDGET_BYTES"},
		"GOMEMLIMIT":      {goLimit: gib, root: fstest.MapFS{"proc/meminfo": meminfo}, want: 256 * mib, says: "GOMEMLIMIT"},
		"machine":         {root: fstest.MapFS{"proc/meminfo": meminfo}, want: 2 * gib, says: "the machine's memory"},
		"unknown":         {root: fstest.MapFS{}, want: 256 * mib, says: "assumed"},
		"meminfo garbage": {root: fstest.MapFS{"proc/meminfo": file("MemTotal: lots kB\n")}, want: 256 * mib, says: "assumed"},
		"v2 without a limit": {root: fstest.MapFS{
			"proc/meminfo": meminfo, "proc/self/cgroup": file("0::/a/b\n"), "sys/fs/cgroup/a/b/memory.max": file("max\n"),
		}, want: 2 * gib, says: "the machine's memory"},
		"v2 of the parent": {root: fstest.MapFS{
			"proc/meminfo": meminfo, "proc/self/cgroup": file("0::/a/b\n"),
			"sys/fs/cgroup/a/b/memory.max": file("max\n"), "sys/fs/cgroup/a/memory.max": file("1073741824\n"),
		}, want: 256 * mib, says: "control group"},
		"v2 seen as the root": {root: fstest.MapFS{
			"proc/meminfo": meminfo, "proc/self/cgroup": file("0::/kubepods/pod1/c1\n"), "sys/fs/cgroup/memory.max": file("536870912\n"),
		}, want: 128 * mib, says: "control group"},
		"v2 outside its namespace": {root: fstest.MapFS{
			"proc/meminfo": meminfo, "proc/self/cgroup": file("0::/../other\n"), "sys/fs/cgroup/memory.max": file("536870912\n"),
		}, want: 128 * mib, says: "control group"},
		"v1": {root: fstest.MapFS{
			"proc/meminfo": meminfo, "proc/self/cgroup": file("3:cpu,cpuacct:/x\n2:memory:/docker/1\n0::/\n"),
			"sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes": file("1073741824\n"),
			"sys/fs/cgroup/memory/memory.limit_in_bytes":          file(v1None),
		}, want: 256 * mib, says: "control group"},
		"v1 without a limit": {root: fstest.MapFS{
			"proc/meminfo": meminfo, "proc/self/cgroup": file("2:memory:/docker/1\nnonsense\n"),
			"sys/fs/cgroup/memory/memory.limit_in_bytes": file(v1None),
		}, want: 2 * gib, says: "the machine's memory"},
		"a limit above the machine": {root: fstest.MapFS{
			"proc/meminfo": meminfo, "proc/self/cgroup": file("0::/\n"), "sys/fs/cgroup/memory.max": file("17179869184\n"),
		}, want: 2 * gib, says: "the machine's memory"},
	} {
		t.Run(name, func(t *testing.T) {
			c := &Config{Gateway: Gateway{BufferBudget: tc.configured}}
			if tc.goLimit == 0 {
				tc.goLimit = math.MaxInt64
			}
			got, basis := c.bufferBudget(tc.goLimit, tc.root)
			assert.Equal(t, tc.want, got)
			assert.Contains(t, basis, tc.says)
		})
	}
	n, _ := new(Config).BufferBudget()
	assert.Positive(t, n, "of this machine")
}
