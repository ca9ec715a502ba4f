//go:build linux

// Package proc reads what Linux accounts to a process: CPU time, resident memory
// and parentage, from /proc.
//
// It never starts, signals or waits for a process, and keeps nothing between
// calls.
//
//  1. Children finds the workers of a process that was started.
//  2. CPU before and after a stretch of work gives its cost in user and system
//     time, of all threads, also of those that have ended.
//  3. Busy before and after gives what the whole machine did meanwhile: more than
//     the processes that were started is a machine that is not quiet.
//  4. Resident before and after gives what memory they hold.
package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// tick is the unit of the times in /proc/PID/stat: USER_HZ, which is 100 on every
// architecture that Go has.
const tick = 10 * time.Millisecond

// Stat is the part of /proc/PID/stat that is used here (proc_pid_stat(5)).
type Stat struct {
	PID    int
	Name   string // the program's, cut to 15 bytes
	Parent int
	Times  Times
}

// Times is CPU time in the kernel's steps of 10 ms.
type Times struct{ User, System time.Duration }

// Total is User and System together.
func (t Times) Total() time.Duration { return t.User + t.System }

// Sub returns t less before.
func (t Times) Sub(before Times) Times {
	return Times{User: t.User - before.User, System: t.System - before.System}
}

// add returns both together.
func (t Times) add(u Times) Times {
	return Times{User: t.User + u.User, System: t.System + u.System}
}

// ParseStat reads the contents of /proc/PID/stat, which are borrowed until return.
func ParseStat(b []byte) (Stat, error) {
	// The name is in parentheses and may itself hold spaces and parentheses.
	from, to := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if from < 0 || to < from {
		return Stat{}, fmt.Errorf("no name in parentheses in %q", b)
	}
	pid, err := strconv.Atoi(string(bytes.TrimSpace(b[:from])))
	if err != nil {
		return Stat{}, fmt.Errorf("the process id: %w", err)
	}
	// Field 3, the state, is the first behind the name.
	fields := bytes.Fields(b[to+1:])
	const first, parent, user, system = 3, 4, 14, 15
	if len(fields) <= system-first {
		return Stat{}, fmt.Errorf("%d fields behind the name, %d are needed", len(fields), system-first+1)
	}
	var wrong []error
	number := func(field int) int {
		n, err := strconv.Atoi(string(fields[field-first]))
		if err != nil {
			wrong = append(wrong, fmt.Errorf("field %d: %w", field, err))
		}
		return n
	}
	s := Stat{
		PID: pid, Name: string(b[from+1 : to]), Parent: number(parent),
		Times: Times{User: time.Duration(number(user)) * tick, System: time.Duration(number(system)) * tick},
	}
	return s, errors.Join(wrong...)
}

func path(pid int, file string) string {
	return filepath.Join("/proc", strconv.Itoa(pid), file)
}

// CPU returns what all of pids have used together since they started.
func CPU(pids ...int) (Times, error) {
	var sum Times
	for _, pid := range pids {
		b, err := os.ReadFile(path(pid, "stat"))
		if err != nil {
			return Times{}, err
		}
		s, err := ParseStat(b)
		if err != nil {
			return Times{}, fmt.Errorf("%s: %w", path(pid, "stat"), err)
		}
		sum = sum.add(s.Times)
	}
	return sum, nil
}

// ParseBusy reads from the contents of /proc/stat, which are borrowed until return,
// how long all CPUs together have not been idle: also for interrupts, and when
// another machine on the same hardware had them (steal).
func ParseBusy(b []byte) (time.Duration, error) {
	line, _, _ := bytes.Cut(b, []byte("\n"))
	f := bytes.Fields(line)
	// cpu, then user nice system idle iowait irq softirq steal (proc_stat(5)).
	const idle, iowait, steal = 4, 5, 8
	if len(f) <= steal || string(f[0]) != "cpu" {
		return 0, fmt.Errorf("not the line of all CPUs: %q", line)
	}
	var sum time.Duration
	for i := 1; i <= steal; i++ {
		n, err := strconv.ParseInt(string(f[i]), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("field %d of the line of all CPUs: %w", i, err)
		}
		if i != idle && i != iowait {
			sum += time.Duration(n) * tick
		}
	}
	return sum, nil
}

// Busy returns how long all CPUs together have not been idle since the machine
// started.
func Busy() (time.Duration, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	return ParseBusy(b)
}

// Children returns the processes whose parent is pid, in ascending order.
func Children(pid int) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var out []int
	for _, e := range entries {
		n, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		b, err := os.ReadFile(path(n, "stat"))
		if err != nil {
			continue // it ended meanwhile
		}
		if s, err := ParseStat(b); err == nil && s.Parent == pid {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out, nil
}

// ParseRollup reads the resident bytes from the contents of
// /proc/PID/smaps_rollup, which are borrowed until return.
func ParseRollup(b []byte) (int64, error) {
	for line := range bytes.Lines(b) {
		rest, ok := bytes.CutPrefix(line, []byte("Rss:"))
		if !ok {
			continue
		}
		f := bytes.Fields(rest)
		if len(f) != 2 || string(f[1]) != "kB" {
			return 0, fmt.Errorf("not a number of kB: %q", line)
		}
		n, err := strconv.ParseInt(string(f[0]), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("not a number of kB: %w", err)
		}
		return n << 10, nil
	}
	return 0, errors.New("no line Rss")
}

// Resident returns the resident bytes of all of pids together. It walks their page
// tables, which is exact where the counter in /proc/PID/status is not: the kernel
// batches that one by CPU.
func Resident(pids ...int) (int64, error) {
	var sum int64
	for _, pid := range pids {
		b, err := os.ReadFile(path(pid, "smaps_rollup"))
		if err != nil {
			return 0, err
		}
		n, err := ParseRollup(b)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", path(pid, "smaps_rollup"), err)
		}
		sum += n
	}
	return sum, nil
}
