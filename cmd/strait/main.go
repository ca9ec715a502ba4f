// Command strait is the gateway and its tools in one binary. It owns flags,
// signals, exit codes and the wiring of all parts; it is the only place that
// knows every package.
//
//  1. main parses the command line and hands each command what it needs of the
//     process: a context that ends with a signal, the environment, an output.
//  2. serve builds the gateway from the environment and runs it (serve.go).
//  3. ping, swarm and compare measure and end; config and version answer and end.
//
// Exit status: 0 success, 1 the command failed, 2 the command line is wrong.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/alecthomas/kong"
)

// version is set by the build; without it the module's build information serves.
var version = ""

// environ is the environment of the process, NAME=value.
type environ []string

type cli struct {
	Serve   serveCmd   `cmd:"" help:"Run the gateway, configured by STRAIT_* variables."`
	Ping    pingCmd    `cmd:"" help:"Connect as a client and measure opening and round trip."`
	Swarm   swarmCmd   `cmd:"" help:"Load a gateway with many clients and measure what they get."`
	Compare compareCmd `cmd:"" help:"Compare transports on emulated networks and say which to use."`
	Config  configCmd  `cmd:"" help:"Show, check or document the configuration."`
	Version versionCmd `cmd:"" help:"Say what this binary is."`
}

const description = `A transport gateway for real-time games.

Examples:
  strait serve                                     echo on :7777, self-signed certificate
  STRAIT_UPSTREAM=link://HOST:PORT strait serve    in front of your game logic
  strait ping 127.0.0.1:7777                       is it there, and how far away
  strait swarm 127.0.0.1:7777 -c 500 -d 30s        load it before players do
  strait compare --html report.html                which transport to use for whom
  strait config check                              is the environment right
  strait config docs                               every setting, in Markdown`

func main() {
	os.Exit(run(os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// run is main with everything passed in; it returns the exit status.
func run(args []string, env environ, out, errOut io.Writer) int {
	var c cli
	exit := -1
	parser, err := kong.New(&c,
		kong.Name("strait"), kong.Description(description), kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.Writers(out, errOut),
		kong.Exit(func(code int) { exit = code }),
		kong.BindTo(out, (*io.Writer)(nil)),
		kong.Bind(env, logOutput{errOut}),
	)
	if err != nil {
		fmt.Fprintln(errOut, "strait:", err)
		return 2
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	k, err := parser.Parse(args)
	if exit >= 0 {
		return exit
	}
	if err != nil {
		fmt.Fprintf(errOut, "strait: %v\nRun \"strait --help\" for what there is.\n", err)
		return 2
	}
	ctx, stop := withSignals(context.Background())
	defer stop()
	k.BindTo(ctx, (*context.Context)(nil))
	if err := k.Run(); err != nil {
		// One line a problem, each with the name of the program.
		for line := range strings.Lines(err.Error()) {
			fmt.Fprintln(errOut, "strait:", strings.TrimRight(line, "\n"))
		}
		return 1
	}
	return 0
}

type versionCmd struct{}

// Run prints the version, the source revision if it is known, and the toolchain.
func (versionCmd) Run(out io.Writer) error {
	_, err := fmt.Fprintln(out, versionText())
	return err
}

func versionText() string {
	v, rev := version, ""
	if info, ok := debug.ReadBuildInfo(); ok {
		if v == "" {
			v = info.Main.Version
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				rev = " " + s.Value[:min(12, len(s.Value))]
			}
		}
	}
	if v == "" || v == "(devel)" {
		v = "development"
	}
	return fmt.Sprintf("strait %s%s %s %s/%s", v, rev, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
