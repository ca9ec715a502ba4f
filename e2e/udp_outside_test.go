package e2e

import (
	"net"
	"os"
	"strings"
	"testing"
)

// thorough says that the proofs which take long, or need rights of their own, are
// asked for: then what cannot be proven here fails instead of being skipped.
var thorough = os.Getenv("STRAIT_TEST_OUTSIDE") == "1"

// lacks ends a test that this machine cannot run.
func lacks(t testing.TB, what string) {
	t.Helper()
	if thorough {
		t.Fatalf("STRAIT_TEST_OUTSIDE is 1, and %s", what)
	}
	t.Skip(what)
}

// onlyThorough skips a test unless STRAIT_TEST_OUTSIDE is 1. Its name begins with
// TestOutside: by that `make outside-net` finds it.
func onlyThorough(t testing.TB, why string) {
	t.Helper()
	if !strings.HasPrefix(t.Name(), "TestOutside") {
		t.Fatalf("%s is not found by make outside-net: its name begins with TestOutside", t.Name())
	}
	if !thorough {
		t.Skip("only with STRAIT_TEST_OUTSIDE=1: " + why)
	}
}

func needsIPv6(t testing.TB) {
	t.Helper()
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		lacks(t, "this machine has no IPv6")
	}
	l.Close()
}
