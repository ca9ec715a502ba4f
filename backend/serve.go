package backend

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"syscall"
)

// Serve listens on addr and serves gateways until ctx is done; then it sends what
// is queued, ends the streams and returns nil. addr is link://host:port,
// link+tls://host:port (with c.TLS), link+unix:///path, or just host:port.
func Serve(ctx context.Context, addr string, h Handler, c Config) error {
	srv, err := New(h, c)
	if err != nil {
		return err
	}
	l, err := Listen(ctx, addr, c.TLS)
	if err != nil {
		return err
	}
	srv.config.Logger.Info("backend: listening", "addr", l.Addr().String(), "name", c.Name)
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	err = srv.Serve(l)
	stop()
	_ = srv.Close() // returns when everything has ended, whoever began it
	if errors.Is(err, ErrServerClosed) {
		return nil
	}
	return err
}

// Listen opens an address as Serve does, for those who keep the Server to publish or
// drain. conf is for link+tls; else nil will do.
func Listen(ctx context.Context, addr string, conf *tls.Config) (net.Listener, error) {
	network, address, secure, err := parseAddr(addr)
	if err != nil {
		return nil, err
	}
	if secure && conf == nil {
		return nil, &ArgumentError{Want: fmt.Sprintf("%s needs Config.TLS with a certificate", addr)}
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, network, address)
	if network == "unix" && errors.Is(err, syscall.EADDRINUSE) && abandoned(ctx, address) {
		if err = os.Remove(address); err == nil {
			l, err = lc.Listen(ctx, network, address)
		}
	}
	if err != nil {
		return nil, err
	}
	if secure {
		l = tls.NewListener(l, conf)
	}
	return l, nil
}

// abandoned reports whether a socket's file was left by a process that died.
func abandoned(ctx context.Context, path string) bool {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err == nil {
		_ = conn.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

func parseAddr(addr string) (network, address string, secure bool, err error) {
	if _, _, err := net.SplitHostPort(addr); err == nil && !strings.Contains(addr, "://") {
		return "tcp", addr, false, nil
	}
	u, err := url.Parse(addr)
	if err == nil {
		switch plain := u.User == nil && u.RawQuery == "" && u.Fragment == ""; {
		case plain && u.Scheme == "link+unix" && u.Host == "" && len(u.Path) > 1:
			return "unix", u.Path, false, nil
		case plain && (u.Scheme == "link" || u.Scheme == "link+tls") && u.Host != "" && strings.Trim(u.Path, "/") == "":
			return "tcp", u.Host, u.Scheme == "link+tls", nil
		}
	}
	return "", "", false, &ArgumentError{
		Want: fmt.Sprintf("address %q: it must be link://host:port, link+tls://host:port, link+unix:///path or host:port", addr),
	}
}
