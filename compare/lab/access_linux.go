package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
)

// Check reports whether this process may make a lab with namespaces: nil, or an
// [*AccessError]. It makes a namespace with a TUN device and removes it.
func Check() error {
	n, err := newNamespace(DefaultMTU)
	if err != nil {
		return err
	}
	n.end()
	return nil
}

// refused makes an AccessError of what lacks privileges or the kernel's support.
func refused(op string, err error) error {
	e := &AccessError{Op: op, Err: err}
	switch {
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES):
		e.UserNamespace = os.Geteuid() != 0 && userNamespaces() == nil
		switch {
		case e.UserNamespace:
			e.Advice = "run it as root; a user namespace would do, too"
		case os.Geteuid() == 0:
			e.Advice = "root lacks privileges here, as in a container: it needs the capabilities NET_ADMIN and SYS_ADMIN and the device /dev/net/tun"
		default:
			e.Advice = "run it as root"
			if err := userNamespaces(); err != nil {
				e.Advice += "; a user namespace would do, too, but " + err.Error()
			}
		}
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ENODEV), errors.Is(err, syscall.ENXIO):
		e.Advice = "the kernel has no TUN devices here: modprobe tun, or give the container the device /dev/net/tun"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EUSERS):
		e.Advice = "no more namespaces are allowed: raise the sysctl user.max_net_namespaces"
	default:
		return fmt.Errorf("%s: %w", op, err)
	}
	return e
}

// userNamespaces says what stands in the way of a user namespace with a lab in it, as
// far as it can be told without making one.
func userNamespaces() error {
	for _, s := range []struct{ name, off string }{
		{"user/max_user_namespaces", "0"},
		{"kernel/unprivileged_userns_clone", "0"},             // Debian
		{"kernel/apparmor_restrict_unprivileged_userns", "1"}, // Ubuntu
	} {
		b, err := os.ReadFile("/proc/sys/" + s.name)
		if err == nil && strings.TrimSpace(string(b)) == s.off {
			return fmt.Errorf("the sysctl %s forbids it", strings.ReplaceAll(s.name, "/", "."))
		}
	}
	tun, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return tun.Close()
}

// Reexec runs this program again, with the same arguments, environment, input and
// output, in a new user namespace, in which it counts as root and may make labs. It
// returns the program's exit code when it has ended; an error if a signal ended it. It is for a program whose [Check]
// has failed with an AccessError that says UserNamespace; the caller must not come here
// again from inside, where Check does not say so.
//
// Cancelling ctx sends SIGTERM; the program dies with this one.
func Reexec(ctx context.Context) (code int, err error) {
	// The program dies with the thread that started it, not with the process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, "/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	if err := cmd.Start(); err != nil {
		return 0, refused("making a user namespace", err)
	}
	err = cmd.Wait()
	if cmd.ProcessState != nil && cmd.ProcessState.Exited() {
		return cmd.ProcessState.ExitCode(), nil
	}
	return 0, err
}
