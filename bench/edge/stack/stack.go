//go:build linux

package stack

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"strait/bench/edge/echo"
	"strait/bench/edge/proc"
)

// Config is what all stacks of a run have in common.
type Config struct {
	Cert Certificate
	// Echo is the command that runs [echo.Main] with the kind and the socket's path or
	// address added as arguments.
	Echo []string
	// Sessions is how many each proxy has to take at a time.
	Sessions int
	Retry    Retry
}

// Stack is a running proxy with its echo.
type Stack struct {
	Target Target
	Addr   string // host:port
	// Proxy are the processes that do the proxy's work: the worker, not the master.
	Proxy []int
	// Echo is the process behind it; 0 where the proxy is the echo.
	Echo int

	kind        echo.Kind
	dir         string
	proxy, echo *process
}

// readiness is how long a process may take to start.
const readiness = 10 * time.Second

// Start starts target and its echo. Nothing is left running or lying about if it
// fails.
func Start(ctx context.Context, target Target, c Config) (s *Stack, err error) {
	// A short path: a Unix socket's may have 107 bytes.
	dir, err := os.MkdirTemp("", "strait-edge-")
	if err != nil {
		return nil, err
	}
	s = &Stack{Target: target, dir: dir, kind: target.echo(c.Retry)}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Stop())
			s = nil
		}
	}()
	ctx, cancel := context.WithTimeoutCause(ctx, readiness, fmt.Errorf("it took longer than %v", readiness))
	defer cancel()
	if s.Addr, err = freeAddr(); err != nil {
		return s, err
	}
	if target.Kind == Bare {
		if err := s.startEcho(ctx, c.Echo, s.Addr); err != nil {
			return s, err
		}
		s.proxy, s.echo = s.echo, nil
		s.Proxy, s.Echo = []int{s.Echo}, 0
		return s, nil
	}
	socket := filepath.Join(dir, "echo.sock")
	if s.kind == echo.Datagram {
		if socket, err = freeAddr(); err != nil {
			return s, err
		}
	}
	if err := s.startEcho(ctx, c.Echo, socket); err != nil {
		return s, err
	}
	cmd, err := command(target, setup{
		Addr: s.Addr, Dir: dir, Socket: socket, Cert: c.Cert, Sessions: c.Sessions, Root: os.Geteuid() == 0,
		Protocol: target.Protocol, Retry: c.Retry,
	})
	if err != nil {
		return s, err
	}
	if s.proxy, err = start(target.Name, cmd, filepath.Join(dir, "proxy.log")); err != nil {
		return s, err
	}
	return s, s.await(ctx)
}

func (s *Stack) startEcho(ctx context.Context, command []string, socket string) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	cmd := exec.Command(command[0], append(append([]string(nil), command[1:]...), string(s.kind), socket)...)
	cmd.Stdout = w
	s.echo, err = start("echo", cmd, filepath.Join(s.dir, "echo.log"))
	if err := errors.Join(err, w.Close()); err != nil {
		return err
	}
	s.Echo = s.echo.pid()
	stop := context.AfterFunc(ctx, func() { _ = r.SetReadDeadline(time.Now()) })
	defer stop()
	line := bufio.NewScanner(r)
	if !line.Scan() || line.Text() != echo.Ready {
		if ctx.Err() != nil {
			return fmt.Errorf("the echo was not ready: %w", context.Cause(ctx))
		}
		return s.echo.explain(fmt.Errorf("it did not say %q but %q (%v)", echo.Ready, line.Text(), line.Err()))
	}
	return nil
}

// command returns the command that runs target with its configuration written.
func command(target Target, s setup) (*exec.Cmd, error) {
	switch target.Kind {
	case Strait:
		cmd := exec.Command(target.Binary, "serve")
		cmd.Env = environment(os.Environ(), append(s.strait(), target.Env...))
		cmd.Dir = s.Dir
		return cmd, nil
	case Nginx:
		s.Module, _ = debian.streamModule(target.Binary)
		conf := filepath.Join(s.Dir, "nginx.conf")
		cmd := exec.Command(target.Binary, "-p", s.Dir, "-e", filepath.Join(s.Dir, "error.log"), "-c", conf)
		return cmd, os.WriteFile(conf, []byte(s.nginx()), 0o600)
	case HAProxy:
		conf := filepath.Join(s.Dir, "haproxy.cfg")
		return exec.Command(target.Binary, "-db", "-f", conf), os.WriteFile(conf, []byte(s.haproxy()), 0o600)
	}
	return nil, fmt.Errorf("no proxy of kind %q", target.Kind)
}

// freeAddr returns an address of 127.0.0.1 on which nothing listens, by TCP or UDP. It is below
// the ports that connections get, so that none of the clients takes it.
func freeAddr() (string, error) {
	const from, to = 20000, 32000
	var last error
	for range 100 {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(from+rand.IntN(to-from)))
		l, err := net.Listen("tcp", addr)
		if err != nil {
			last = err
			continue
		}
		u, err := net.ListenPacket("udp", addr)
		if err != nil {
			last = errors.Join(err, l.Close())
			continue
		}
		return addr, errors.Join(l.Close(), u.Close())
	}
	return "", fmt.Errorf("no free port from %d to %d: %w", from, to, last)
}

// await waits until the proxy accepts connections and its worker is there.
func (s *Stack) await(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := s.answers(ctx)
		if err == nil {
			if s.Proxy, err = s.workers(); err != nil {
				return err
			}
			if len(s.Proxy) > 0 {
				return nil
			}
		}
		if err := s.proxy.died(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return s.proxy.explain(fmt.Errorf("not ready: %w", context.Cause(ctx)))
		case <-tick.C:
		}
	}
}

// answers reports as an error why the proxy does not take clients yet.
func (s *Stack) answers(ctx context.Context) error {
	var nd net.Dialer
	if s.Target.Protocol != UDP || s.Target.Kind == Strait {
		conn, err := nd.DialContext(ctx, "tcp", s.Addr)
		if err != nil {
			return err
		}
		return conn.Close()
	}
	conn, err := nd.DialContext(ctx, "udp", s.Addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("ready?")); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 16))
	return err
}

// workers returns the processes that do the work, or none yet.
func (s *Stack) workers() ([]int, error) {
	if s.Target.Kind == Nginx {
		return proc.Children(s.proxy.pid())
	}
	return []int{s.proxy.pid()}, nil
}

// Err returns an error that shows the process's log if one has ended by itself.
func (s *Stack) Err() error {
	var err error
	for _, p := range []*process{s.proxy, s.echo} {
		if p != nil {
			err = errors.Join(err, p.died())
		}
	}
	return err
}

// Stop ends both processes and removes the folder.
func (s *Stack) Stop() error {
	var err error
	for _, p := range []*process{s.proxy, s.echo} {
		if p != nil {
			err = errors.Join(err, p.stop())
		}
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}
