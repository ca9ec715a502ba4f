//go:build linux

// Command edge runs one echo load against the gateway and against the proxies
// that a user would pick instead, nginx stream and HAProxy, side by side on this
// machine, and prints what each needs for it.
//
// It owns the plan of a comparison: which target meets which load in which order,
// and what is read before and after. It never changes the system: everything runs
// on free ports of 127.0.0.1, from a temporary folder, and is ended and removed.
//
//  1. options.go reads the flags; package stack finds the programs, or says what to
//     install.
//  2. plan.go makes the list of loads, also of a grid of message sizes and clients. For
//     each, and each repetition of it, the targets take turns, in an order that rotates
//     (compare.go). Each turn starts the proxy and its echo
//     anew, so that no turn leaves anything to the next.
//  3. The turn runs its load with package load, reads CPU time and memory with
//     package proc (turn.go), and adds a row to the load's table.
//  4. The tables and facts about the machine (facts.go) are printed as text,
//     Markdown or JSON, and saved as a page with pictures (result.go).
//
// Exit status: 0 success, 1 a comparison failed or something is not installed, 2
// the command line is wrong.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"strait/bench/edge/echo"
)

// echoCommand is the first argument of the process that is to be an echo.
const echoCommand = "echo-process"

func main() {
	if len(os.Args) == 4 && os.Args[1] == echoCommand {
		if err := echo.Main(echo.Kind(os.Args[2]), os.Args[3], os.Stdin, os.Stdout, os.Stderr); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	var usage *usageError
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
	case errors.As(err, &usage):
		fmt.Fprintln(os.Stderr, "edge:", err)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "edge:", err)
		os.Exit(1)
	}
}

// run compares as args say, prints the result to out and what it is doing to
// progress.
func run(ctx context.Context, args []string, out, progress io.Writer) (err error) {
	o, err := parseOptions(args, progress)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "strait-edge-")
	if err != nil {
		return err
	}
	defer func() {
		if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(err, cause) {
			err = errors.Join(cause, err) // whatever failed because of it
		}
		err = errors.Join(err, os.RemoveAll(dir))
	}()
	c, err := newComparison(ctx, o, dir, progress)
	if err != nil {
		return err
	}
	result, err := c.run(ctx)
	if err != nil {
		return err
	}
	err = result.print(out, o.format)
	if o.html != "" {
		err = errors.Join(err, result.save(o.html, o.title()))
	}
	return err
}
