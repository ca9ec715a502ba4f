// Command player plays in the arena: by hand on a terminal, or by itself with -bot.
//
// It owns the player's end of the game's messages, what is known of the world, and the
// screen. It never decides what happens in the world: it says what it wants, and shows
// what the arena says.
//
//  1. player.go receives: Welcome is answered with Enter, everything else goes to the
//     view. It sends the input 20 times a second and at each change, unreliably.
//  2. human.go joins keys.go, which turns bytes into wishes, and screen.go, which turns
//     the view into one frame for each snapshot; or
//  3. bot.go decides at each snapshot and prints a line a second.
//
// Exit status: 0, 1 when the connection failed or a bot saw no snapshot, 2 when the
// command line is wrong.
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
	"time"

	"golang.org/x/term"

	"strait/client"
	"strait/examples/arena/game"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

type options struct {
	addr, ca, pin, name string
	bot                 bool
	duration            time.Duration
}

// parse returns flag.ErrHelp when help was asked for and printed.
func parse(args []string, errOut io.Writer) (o options, err error) {
	f := flag.NewFlagSet("player", flag.ContinueOnError)
	f.SetOutput(errOut)
	f.StringVar(&o.addr, "addr", "127.0.0.1:7777", "the gateway, `host:port`")
	f.StringVar(&o.ca, "ca", "", "PEM `file` of the authorities to trust instead of the system's")
	f.StringVar(&o.pin, "pin", "", "`SHA-256` of the gateway's certificate in hex; a gateway without certificate files logs it")
	f.StringVar(&o.name, "name", "", fmt.Sprintf("what others see, up to %d `letters`; \"player\" or \"bot\" if left out", game.MaxName))
	f.BoolVar(&o.bot, "bot", false, "play by itself, without drawing")
	f.DurationVar(&o.duration, "for", 0, "how long to play, such as 10s; 0 is until the end")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if o.name == "" {
		o.name = "player"
		if o.bot {
			o.name = "bot"
		}
	}
	switch {
	case f.NArg() > 0:
		err = fmt.Errorf("%q is no flag", f.Arg(0))
	case len(o.name) > game.MaxName || !game.Printable(o.name):
		err = fmt.Errorf("-name %q: it must be at most %d bytes of printable UTF-8", o.name, game.MaxName)
	case o.duration < 0:
		err = fmt.Errorf("-for %v: it cannot be negative", o.duration)
	case o.ca != "" && o.pin != "":
		err = errors.New("-ca and -pin: choose one way to verify the gateway")
	case !o.bot && !(term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stdout.Fd()))):
		err = errors.New("playing by hand needs a terminal; use -bot without one")
	}
	if err != nil {
		fmt.Fprintln(errOut, "player:", err)
	}
	return o, err
}

// run is main with everything passed in; it returns the exit status.
func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	o, err := parse(args, errOut)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	if o.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.duration)
		defer cancel()
	}
	if err := play(ctx, o, out); err != nil {
		fmt.Fprintln(errOut, "player:", err)
		var unverified *client.VerifyError
		if errors.As(err, &unverified) && o.ca == "" && o.pin == "" {
			fmt.Fprintf(errOut, "If you know that this is the right certificate, say -pin %s\n", unverified.Fingerprint)
		}
		return 1
	}
	return 0
}

// play plays until ctx is done, or the player or the gateway ends it.
func play(ctx context.Context, o options, out io.Writer) error {
	c, err := client.Dial(ctx, o.addr, client.Options{CAFile: o.ca, Pin: o.pin, Name: "arena-player"})
	if err != nil {
		return err
	}
	p := newPlayer(c, o.name)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	played := make(chan error, 1)
	go func() { played <- p.run(ctx, cancel) }()
	if o.bot {
		err = runBot(ctx, p, out)
	} else {
		err = runHuman(ctx, p)
	}
	cancel()
	return errors.Join(err, <-played)
}
