package main

import (
	"bytes"
	"context"
	"encoding/pem"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// output is a program's output. Safe for concurrent use.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

func TestTwoBotsPlay(t *testing.T) {
	t.Parallel()
	a := startArena(t, false)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Certificate().Raw}), 0o600))
	var outs [2]output
	var statuses [2]int
	var bots sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for i, verify := range [][]string{{"-pin", a.Pin()}, {"-ca", ca}} {
		bots.Go(func() {
			args := append(verify, "-bot", "-addr", a.Addr(), "-name", []string{"ada", "bob"}[i], "-for", "1m")
			statuses[i] = run(ctx, args, &outs[i], &outs[i])
		})
	}
	// A score is lost again by who is hit.
	scored, lines := regexp.MustCompile(`score [1-9]`), regexp.MustCompile(`(?m)^rtt `)
	assert.Eventually(t, func() bool {
		for i := range outs {
			if out := outs[i].String(); !scored.MatchString(out) || len(lines.FindAllString(out, -1)) < 4 {
				return false
			}
		}
		return true
	}, 2*patience, 10*time.Millisecond)
	cancel()
	bots.Wait()
	for i := range outs {
		out := outs[i].String()
		assert.Zero(t, statuses[i], out)
		assert.Regexp(t, `(?m)^rtt \d+\.(0[1-9]|[1-9]\d) ms  \d+\.\d snapshots/s  age [1-9]\d*\.\d ms  gap \d+\.\d ms  score \d+$`, out)
		assert.Regexp(t, `(?m)^total snapshots=[1-9]\d* chat=[1-9]\d* score=\d+$`, out)
	}
}

func TestABotEndsWithItsContext(t *testing.T) {
	t.Parallel()
	a := startArena(t, false)
	ctx, cancel := context.WithCancel(t.Context())
	var out output
	status := make(chan int, 1)
	go func() { status <- run(ctx, []string{"-bot", "-addr", a.Addr(), "-pin", a.Pin()}, &out, &out) }()
	require.Eventually(t, func() bool { return bytes.Contains([]byte(out.String()), []byte("snapshots/s")) }, patience, 5*time.Millisecond)
	cancel()
	assert.Zero(t, <-status, out.String())
}

func TestABotThatSawNothingFails(t *testing.T) {
	t.Parallel()
	a := startArena(t, true)
	var out output
	assert.Equal(t, 1, run(t.Context(), []string{"-bot", "-addr", a.Addr(), "-pin", a.Pin(), "-for", "500ms"}, &out, &out))
	assert.Contains(t, out.String(), errUnseen.Error())
	assert.Contains(t, out.String(), "total snapshots=0")
}

func TestAStrangersCertificateIsRefused(t *testing.T) {
	t.Parallel()
	a := startArena(t, false)
	var out output
	assert.Equal(t, 1, run(t.Context(), []string{"-bot", "-addr", a.Addr()}, &out, &out))
	assert.Contains(t, out.String(), "-pin "+a.Pin())
	out = output{}
	assert.Equal(t, 1, run(t.Context(), []string{"-bot", "-addr", a.Addr(), "-pin", string(bytes.Repeat([]byte("0"), 64))}, &out, &out))
	assert.NotContains(t, out.String(), "say -pin", "a pin that does not match is not to be replaced lightly")
}

func TestCommandLine(t *testing.T) {
	for name, args := range map[string][]string{
		"an unknown flag":           {"-fly"},
		"an argument":               {"-bot", "here"},
		"a name that is too long":   {"-bot", "-name", "0123456789abcdefg"},
		"a name with an escape":     {"-bot", "-name", "a\x1b[2J"},
		"a negative time":           {"-bot", "-for", "-1s"},
		"two ways to verify":        {"-bot", "-ca", "x", "-pin", "y"},
		"by hand without terminal":  {},
		"help is not a wrong thing": {"-h"},
	} {
		var out output
		want := 2
		if slices.Equal(args, []string{"-h"}) {
			want = 0
		}
		assert.Equal(t, want, run(t.Context(), args, &out, &out), name)
		assert.NotEmpty(t, out.String(), name)
	}
}
