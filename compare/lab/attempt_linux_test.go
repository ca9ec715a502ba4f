package lab_test

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
)

// attempts is how often a measurement is tried.
const attempts = 5

// measured runs what measures time on real network stacks. The machine may have been
// busy with something else: what fails is tried again, and fails the test when it always
// does.
func measured(t *testing.T, body func(t testing.TB)) {
	t.Helper()
	needsQuiet(t)
	for n := 1; ; n++ {
		a := &attempt{TB: t}
		a.run(body)
		if !a.Failed() {
			return
		}
		if n == attempts {
			t.Fatalf("in each of %d attempts, in the last:\n%s", n, a.said)
		}
		t.Logf("attempt %d: %s", n, a.said)
	}
}

// attempt is a testing.TB that keeps its failure to itself.
type attempt struct {
	testing.TB

	mu       sync.Mutex
	failed   bool
	said     string
	cleanups []func()
}

func (a *attempt) run(body func(t testing.TB)) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			for _, f := range a.cleanups { // the last one first
				defer f()
			}
		}()
		body(a)
	}()
	<-done
}

func (a *attempt) Cleanup(f func()) { a.cleanups = append(a.cleanups, f) }

func (a *attempt) Failed() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.failed
}

func (a *attempt) fail(what string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failed = true
	a.said += what
}

func (a *attempt) Fail()                        { a.fail("") }
func (a *attempt) FailNow()                     { a.fail(""); runtime.Goexit() }
func (a *attempt) Error(args ...any)            { a.fail(fmt.Sprintln(args...)) }
func (a *attempt) Errorf(f string, args ...any) { a.fail(fmt.Sprintf(f, args...)) }
func (a *attempt) Fatal(args ...any)            { a.Error(args...); a.FailNow() }
func (a *attempt) Fatalf(f string, args ...any) { a.Errorf(f, args...); a.FailNow() }
