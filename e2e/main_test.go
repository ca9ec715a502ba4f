package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// patience is how long a test waits for what must happen: much longer than it
// takes, so that only what never happens fails.
const patience = 20 * time.Second

// underTest is the path of the gateway's binary.
var underTest string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	// Many of the tests wait for a timeout of the gateway and use no processor.
	if err := flag.Set("test.parallel", "10"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	dir, err := os.MkdirTemp("", "strait-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	underTest = filepath.Join(dir, "strait")
	args := []string{"build", "-o", underTest}
	if raceDetector {
		args = append(args, "-race")
	}
	build := exec.Command("go", append(args, "strait/cmd/strait")...)
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the gateway: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// scaled is the size of a stress: full without the race detector, a quarter with
// it, and a tenth in short mode.
func scaled(full int) int {
	switch {
	case testing.Short():
		return max(1, full/10)
	case raceDetector:
		return max(1, full/4)
	}
	return full
}
