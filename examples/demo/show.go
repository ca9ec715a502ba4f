//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"time"

	"strait/examples/internal/process"
)

var (
	arenaAddr = regexp.MustCompile(`arena: listening address=(\S+)`)
	botPlays  = regexp.MustCompile(`^rtt .* snapshots/s `)
	botTotal  = regexp.MustCompile(`^total snapshots=(\d+) chat=(\d+) score=(\d+)$`)
)

// show runs the processes until ctx is done, or for so long if duration is not 0, and
// judges them.
func show(ctx context.Context, b binaries, duration time.Duration, out io.Writer) error {
	s := stage{out: out}
	err := s.start(ctx, b)
	if err == nil {
		fmt.Fprintf(out, "\nTo join, in another terminal:\n\n  go run ./examples/arena/player -addr %s -pin %s\n\n", s.gateway.Addr, s.gateway.Pin)
		err = s.wait(ctx, duration)
	}
	err = errors.Join(err, s.stop())
	if err != nil {
		return err
	}
	return s.judge()
}

// stage is what runs, in the order in which it was started.
type stage struct {
	out     io.Writer
	all     []*process.Process
	gateway *process.Gateway
	bots    []*process.Process
}

// start returns when both bots play. It leaves to stop what it has started, also when
// it fails.
func (s *stage) start(ctx context.Context, b binaries) error {
	starting, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	arena, err := process.Start(process.Spec{
		Name: "arena", Path: b.server, Args: []string{"-listen", "link://127.0.0.1:0"},
		Out: s.out, Keep: []*regexp.Regexp{arenaAddr},
	})
	if err != nil {
		return err
	}
	s.all = append(s.all, arena)
	addr, err := arena.Await(starting, arenaAddr)
	if err != nil {
		return err
	}
	s.gateway, err = process.StartGateway(starting, b.strait, "link://"+addr[1], s.out)
	if err != nil {
		return err
	}
	s.all = append(s.all, s.gateway.Process)
	for _, name := range []string{"bot-1", "bot-2"} {
		bot, err := process.Start(process.Spec{
			Name: name, Path: b.player, Out: s.out, Keep: []*regexp.Regexp{botPlays, botTotal},
			Args: []string{"-bot", "-name", name, "-addr", s.gateway.Addr, "-pin", s.gateway.Pin},
		})
		if err != nil {
			return err
		}
		s.all, s.bots = append(s.all, bot), append(s.bots, bot)
	}
	for _, bot := range s.bots {
		if _, err := bot.Await(starting, botPlays); err != nil {
			return err
		}
	}
	return nil
}

// wait returns an error when a process ends by itself.
func (s *stage) wait(ctx context.Context, duration time.Duration) error {
	if duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, duration)
		defer cancel()
	}
	ended := make(chan struct{}, len(s.all))
	for _, p := range s.all {
		go func() {
			select {
			case <-p.Done():
				ended <- struct{}{}
			case <-ctx.Done():
			}
		}()
	}
	select {
	case <-ctx.Done():
		return nil
	case <-ended:
		return errors.New("a process ended before it was asked to")
	}
}

// stop ends the processes, the last first, and returns what was wrong with their ends.
func (s *stage) stop() error {
	var errs []error
	for i := len(s.all) - 1; i >= 0; i-- {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		errs = append(errs, s.all[i].Stop(ctx))
		cancel()
	}
	return errors.Join(errs...)
}

// judge looks at what the bots counted.
func (s *stage) judge() error {
	var errs []error
	for i, bot := range s.bots {
		total := bot.Last(botTotal)
		if total == nil {
			errs = append(errs, fmt.Errorf("bot-%d printed no total", i+1))
			continue
		}
		snapshots, _ := strconv.Atoi(total[1])
		chat, _ := strconv.Atoi(total[2])
		fmt.Fprintf(s.out, "bot-%d received %d snapshots and %d lines of chat, and made %s points\n", i+1, snapshots, chat, total[3])
		if snapshots == 0 || chat == 0 {
			errs = append(errs, fmt.Errorf("bot-%d received %d snapshots and %d lines of chat; it should be some of each", i+1, snapshots, chat))
		}
	}
	return errors.Join(errs...)
}
