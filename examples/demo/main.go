//go:build unix

// Command demo shows the whole of it on one machine: a gateway, the arena behind it,
// and two bots that play there.
//
// It owns the processes and judges how they did. It plays no part in the game.
//
//  1. Binaries that no flag names are built into a temporary directory.
//  2. The arena starts on a free port and tells which; the gateway starts in front of
//     it on free ports, tells them and its certificate's fingerprint, and is ready when
//     /readyz says so; the bots trust that fingerprint alone.
//  3. At ctrl-C, at the end of -for, or when a process ends by itself, everything is
//     ended with SIGTERM: players, gateway, arena.
//
// Exit status 0 means: both bots received snapshots and each other's chat, and every
// process ended with status 0. 2 means that the command line is wrong.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is main with everything passed in; it returns the exit status.
func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	f := flag.NewFlagSet("demo", flag.ContinueOnError)
	f.SetOutput(errOut)
	var b binaries
	f.StringVar(&b.strait, "strait", "", "the gateway's `binary`; built if left out")
	f.StringVar(&b.server, "server", "", "the arena's `binary`; built if left out")
	f.StringVar(&b.player, "player", "", "the player's `binary`; built if left out")
	duration := f.Duration("for", 0, "how long to play once both bots do, such as 10s; 0 is until ctrl-C")
	switch err := f.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case f.NArg() > 0 || *duration < 0:
		fmt.Fprintln(errOut, "demo: there are no arguments, and -for cannot be negative")
		return 2
	}
	dir, err := os.MkdirTemp("", "strait-demo")
	if err == nil {
		defer os.RemoveAll(dir)
		err = b.build(ctx, dir, errOut)
	}
	if err == nil {
		err = show(ctx, b, *duration, &shared{w: out})
	}
	if err != nil {
		fmt.Fprintln(errOut, "demo: FAILED:", err)
		return 1
	}
	return 0
}

// binaries are paths of programs.
type binaries struct{ strait, server, player string }

// build builds into dir what has no path.
func (b *binaries) build(ctx context.Context, dir string, errOut io.Writer) error {
	for _, p := range []struct {
		path *string
		name string
		from string
	}{
		{&b.strait, "strait", "strait/cmd/strait"},
		{&b.server, "arena", "strait/examples/arena/server"},
		{&b.player, "player", "strait/examples/arena/player"},
	} {
		if *p.path != "" {
			continue
		}
		fmt.Fprintln(errOut, "demo: building", p.name)
		*p.path = filepath.Join(dir, p.name)
		cmd := exec.CommandContext(ctx, "go", "build", "-o", *p.path, p.from)
		cmd.Stdout, cmd.Stderr = errOut, errOut
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("building %s: %w", p.from, err)
		}
	}
	return nil
}

// shared makes a writer safe for concurrent use.
type shared struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *shared) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(b)
}

// Bounds of waits.
const (
	startTimeout = time.Minute      // all processes
	stopTimeout  = 10 * time.Second // each process
)
