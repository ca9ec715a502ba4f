// Command server is the arena's game logic: a backend process behind one gateway or
// several.
//
// It owns the world (package game), who plays in it, and the clock that drives it. It
// never talks to a player's connection: that is the gateway's.
//
//  1. Each session that opens is welcomed with the maze; the player answers with his
//     name and is in. Inputs go to the world as they come.
//  2. 30 times a second the world makes a step, and one snapshot is published,
//     unreliably, to the group that every player joins: the gateways copy it.
//  3. Chat is published to the same group reliably. Who comes and goes is told to each
//     session by itself, because those messages must keep their order with Welcome: a
//     publish is in order only with what went to the same stream.
//  4. SIGINT or SIGTERM ends the streams; the gateways keep the players for their grace
//     time, and announce them to the arena that comes next.
//
// Try it:
//
//	go run ./examples/arena/server
//	STRAIT_UPSTREAM=link://127.0.0.1:9000 strait serve
//	go run ./examples/arena/player -pin PIN-FROM-THE-GATEWAYS-LOG
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"strait/backend"
	"strait/examples/arena/game"
)

func main() {
	listen := flag.String("listen", "link://127.0.0.1:9000", "where gateways connect, link://host:port or link+unix:///path as a `URL`; port 0 is any free one, which the log tells")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "of the world's `random` numbers")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *listen, *seed, slog.Default()); err != nil {
		fmt.Fprintln(os.Stderr, "arena:", err)
		os.Exit(1)
	}
}

// run serves until ctx is done.
func run(ctx context.Context, listen string, seed uint64, log *slog.Logger) error {
	l, err := backend.Listen(ctx, listen, nil)
	if err != nil {
		return err
	}
	log.Info("arena: listening", "address", l.Addr())
	return serve(ctx, l, newArena(game.NewWorld(seed), log), log)
}

// serve runs the arena on l, which it closes, until ctx is done.
func serve(ctx context.Context, l net.Listener, a *arena, log *slog.Logger) error {
	srv, err := backend.New(a.handler(), backend.Config{Name: "arena", Logger: log})
	if err != nil {
		_ = l.Close()
		return err
	}
	a.publisher = srv
	ticking, stopTicking := context.WithCancel(ctx)
	ticked := make(chan struct{})
	go func() {
		defer close(ticked)
		a.run(ticking)
	}()
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	err = srv.Serve(l)
	stop()
	stopTicking()
	<-ticked
	_ = srv.Close() // returns when everything has ended, whoever began it
	if errors.Is(err, backend.ErrServerClosed) {
		return nil
	}
	return err
}
