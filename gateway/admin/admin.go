// Package admin is the operator's view of a running gateway over HTTP: health,
// metrics, sessions, profiles. It owns the names of the metrics and nothing of
// the gateway's state, which it reads as snapshots; it is meant for an address
// that players cannot reach, because it asks for no credentials.
//
//  1. /livez answers as long as the process serves.
//  2. /readyz answers 200 when clients can play, 503 with the reason otherwise.
//  3. /metrics is Prometheus' text format (metrics.go).
//  4. /sessions lists the live sessions as JSON.
//  5. /debug/pprof is Go's profiler.
package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"strait/gateway"
)

// Gateway is what admin reads.
type Gateway interface {
	Ready() (ok bool, why string)
	Stats() gateway.Stats
	Sessions(func(gateway.SessionInfo) bool)
}

// Config says what is served.
type Config struct {
	Gateway Gateway
	// Version is told in strait_build_info.
	Version string
	// Collectors are further metrics, such as those of the listeners.
	Collectors []prometheus.Collector
	// Logger receives errors of the HTTP server; nil is slog.Default().
	Logger *slog.Logger
}

// Server serves the admin endpoints on one address.
type Server struct {
	http http.Server
	l    net.Listener
	done chan struct{}
}

// Handler returns the endpoints.
func Handler(c Config) (http.Handler, error) {
	reg := prometheus.NewRegistry()
	for _, col := range append(builtin(c), c.Collectors...) {
		if err := reg.Register(col); err != nil {
			return nil, err
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if ok, why := c.Gateway.Ready(); !ok {
			answer(w, http.StatusServiceUnavailable, why)
			return
		}
		answer(w, http.StatusOK, "ok")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError}))
	mux.HandleFunc("GET /sessions", func(w http.ResponseWriter, r *http.Request) { sessions(w, r, c.Gateway) })
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux, nil
}

// Listen serves on addr until Close.
func Listen(addr string, c Config) (*Server, error) {
	h, err := Handler(c)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	log := c.Logger
	if log == nil {
		log = slog.Default()
	}
	s := &Server{l: l, done: make(chan struct{}), http: http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}}
	go func() {
		defer close(s.done)
		if err := s.http.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
			log.Error("admin stopped serving", "error", err)
		}
	}()
	return s, nil
}

// Addr is the address that is listened on.
func (s *Server) Addr() net.Addr { return s.l.Addr() }

// Close ends the server; requests under way get until ctx is done.
func (s *Server) Close(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		s.http.Close()
	}
	<-s.done
	return err
}

func answer(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = w.Write([]byte(text + "\n"))
}

// sessions streams a JSON array, so that tens of thousands of sessions need no
// memory; ?limit=N ends it after N.
func sessions(w http.ResponseWriter, r *http.Request, g Gateway) {
	limit := -1
	if q := r.URL.Query().Get("limit"); q != "" {
		n, err := strconv.Atoi(q)
		if err != nil || n < 0 {
			answer(w, http.StatusBadRequest, "limit is "+strconv.Quote(q)+": it must be a number, 0 or more")
			return
		}
		limit = n
	}
	w.Header().Set("Content-Type", "application/json")
	b := bufio.NewWriter(w)
	defer b.Flush()
	b.WriteString("[")
	n := 0
	if limit != 0 {
		g.Sessions(func(s gateway.SessionInfo) bool {
			j, err := json.Marshal(s)
			if err != nil {
				return true
			}
			if n > 0 {
				b.WriteString(",")
			}
			b.WriteString("\n")
			b.Write(j)
			n++
			return n != limit
		})
	}
	b.WriteString("\n]\n")
}
