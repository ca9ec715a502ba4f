package lab

import "runtime"

// thread is a locked thread on which functions run one after the other. Programs die
// with the thread that started them (PR_SET_PDEATHSIG), so they are started on one
// that lasts.
type thread struct {
	calls chan call
	done  chan struct{}
}

type call struct {
	f    func() error
	done chan<- error
}

// newThread starts a thread and enters something on it; leave is called at its end,
// also when entering failed halfway, and reports whether the thread is as it was.
// Both may be nil.
func newThread(enter func() error, leave func() bool) (*thread, error) {
	t := &thread{calls: make(chan call), done: make(chan struct{})}
	entered := make(chan error)
	go func() {
		defer close(t.done)
		runtime.LockOSThread()
		var err error
		if enter != nil {
			err = enter()
		}
		entered <- err
		if err == nil {
			for c := range t.calls {
				c.done <- c.f()
			}
		}
		// A thread that is not as it was ends with its goroutine, still locked.
		if leave == nil || leave() {
			runtime.UnlockOSThread()
		}
	}()
	if err := <-entered; err != nil {
		<-t.done
		return nil, err
	}
	return t, nil
}

// do runs f on the thread. Not after end.
func (t *thread) do(f func() error) error {
	done := make(chan error, 1)
	t.calls <- call{f, done}
	return <-done
}

// end waits until the thread has left. Once.
func (t *thread) end() {
	close(t.calls)
	<-t.done
}
