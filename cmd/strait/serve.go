package main

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync"

	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"strait/configs"
	"strait/gateway"
	"strait/gateway/admin"
	"strait/internal/fleetkey"
	"strait/quic"
	"strait/tcp"
	"strait/transport/tlsconfig"
	"strait/udp"
	"strait/upstream"
	"strait/upstream/grpc"
	"strait/upstream/inproc"
	"strait/upstream/link"
	"strait/upstream/remote"
)

type serveCmd struct{}

// Help is shown below the flags.
func (serveCmd) Help() string {
	return `Runs the gateway until SIGINT or SIGTERM, then lets sessions end within STRAIT_DRAIN_TIMEOUT. A second signal ends it at once. SIGHUP reads the certificate files again.

Examples:
  strait serve
  STRAIT_UPSTREAM=link+unix:///run/logic.sock STRAIT_LOG_FORMAT=json strait serve
  env $(grep -v '^#' configs/production.env) strait serve`
}

// Run builds the gateway from the environment and serves until ctx ends.
func (serveCmd) Run(ctx context.Context, env environ, logTo logOutput) error {
	cfg, notices, err := configuration(env)
	if err != nil {
		return err
	}
	log := newLogger(cfg.Log, logTo)
	slog.SetDefault(log)
	log.Info("starting", "version", versionText())
	for _, n := range notices {
		level := slog.LevelInfo
		if n.Warning {
			level = slog.LevelWarn
		}
		log.Log(ctx, level, "configuration: "+n.String())
	}
	s, err := newServer(ctx, cfg, log)
	if err != nil {
		return err
	}
	return s.run(ctx)
}

// logOutput is where logs go.
type logOutput struct{ io.Writer }

func newLogger(c configs.Log, w io.Writer) *slog.Logger {
	o := &slog.HandlerOptions{Level: c.Level}
	if c.Format == configs.FormatJSON {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// server is a gateway with everything around it.
type server struct {
	cfg   *configs.Config
	log   *slog.Logger
	certs *tlsconfig.Source
	gw    *gateway.Gateway
	tcp   *tcp.Listener
	udp   *udp.Service
	quic  *quic.Listener
	admin *admin.Server
	// failed receives the error of a listener that stopped by itself.
	failed chan error
}

// newServer opens every address; nothing is left open if it fails.
func newServer(ctx context.Context, cfg *configs.Config, log *slog.Logger) (_ *server, err error) {
	s := &server{cfg: cfg, log: log, failed: make(chan error, 4)}
	defer func() {
		if err != nil {
			s.abandon()
		}
	}()
	if s.certs, err = tlsconfig.New(cfg.TLS.Policy(log)); err != nil {
		return nil, err
	}
	driver, err := newDriver(cfg.Upstream, log)
	if err != nil {
		return nil, err
	}
	budget, basis := cfg.BufferBudget()
	log.Debug("buffer budget", "bytes", budget, "from", basis)
	if s.gw, err = gateway.New(gatewayConfig(cfg, budget, log), driver); err != nil {
		return nil, errors.Join(err, driver.Close())
	}
	if s.tcp, err = s.listenTCP(ctx); err != nil {
		return nil, err
	}
	keys, err := cfg.Fleet.Keys()
	if err != nil {
		return nil, fmt.Errorf("STRAIT_FLEET_KEY_FILE: %w", err)
	}
	if s.udp, err = s.listenUDP(ctx, keys); err != nil {
		return nil, err
	}
	if s.quic, err = s.listenQUIC(ctx, keys); err != nil {
		return nil, err
	}
	if !cfg.Listen.Admin.Off() {
		s.admin, err = admin.Listen(string(cfg.Listen.Admin), admin.Config{
			Gateway: s.gw, Version: versionText(), Collectors: s.collectors(), Logger: log,
		})
		if err != nil {
			return nil, fmt.Errorf("STRAIT_ADMIN_ADDR: %w", err)
		}
	}
	return s, nil
}

func gatewayConfig(c *configs.Config, budget int64, log *slog.Logger) gateway.Config {
	g := c.Gateway
	return gateway.Config{
		Shards: int(g.Shards), QueueSize: int(g.QueueSize),
		MaxSessions: int(g.MaxSessions), MaxHandshakes: int(g.MaxHandshakes),
		MaxMessageBytes: int(g.MaxMessage), SendBufferBytes: int(g.SendBuffer), BufferBudgetBytes: budget,
		OpenTimeout: g.OpenTimeout, IdleTimeout: g.IdleTimeout, DrainTimeout: g.DrainTimeout,
		ClientRoute: bool(g.ClientRoute), Logger: log,
	}
}

func newDriver(c configs.Upstream, log *slog.Logger) (upstream.Driver, error) {
	if c.Backends.Echo() {
		return inproc.Echo(), nil
	}
	rc := remote.Config{Streams: int(c.Streams), Grace: c.Grace, Logger: log}
	for _, b := range c.Backends {
		rc.Backends = append(rc.Backends, b.String())
	}
	if c.Backends.TLS() {
		conf, err := tlsconfig.Upstream(c.CAFile, c.CertFile, c.KeyFile)
		if err != nil {
			return nil, err
		}
		rc.TLS = conf
	}
	return remote.New(rc, link.Carrier{}, grpc.Carrier{})
}

func (s *server) listenTCP(ctx context.Context) (*tcp.Listener, error) {
	if s.cfg.Listen.TCP.Off() {
		return nil, nil
	}
	l, err := tcp.Listen(ctx, string(s.cfg.Listen.TCP), tcp.Config{
		TLS: s.certs.Server(tcp.ALPN), Openings: s.gw.Openings(), Pool: s.gw.Pool(),
		OpenTimeout: s.cfg.Gateway.OpenTimeout, MaxMessage: int(s.cfg.Gateway.MaxMessage),
		MaxUnreliable: gateway.MaxUnreliable, NoLoop: !bool(s.cfg.Listen.TCPLoop), Logger: s.log,
	})
	if err != nil {
		return nil, fmt.Errorf("STRAIT_TCP_ADDR: %w", err)
	}
	return l, nil
}

// listenUDP opens the sockets of sealed lanes; the gateway owns them from then on.
func (s *server) listenUDP(ctx context.Context, keys fleetkey.Ring) (*udp.Service, error) {
	if s.cfg.Listen.UDP.Off() {
		return nil, nil
	}
	c := s.cfg.UDP
	retry, err := udp.ParseRetryPolicy(c.Retry)
	if err != nil {
		return nil, fmt.Errorf("STRAIT_UDP_RETRY: %w", err)
	}
	var aeads []uint32
	for _, a := range c.AEADs {
		aeads = append(aeads, uint32(a))
	}
	read, write := c.ReadBuffer, c.WriteBuffer
	share := s.cfg.Listen.OnePort()
	if share {
		read, write = max(read, s.cfg.QUIC.ReadBuffer), max(write, s.cfg.QUIC.WriteBuffer)
	}
	lanes, err := udp.Listen(ctx, string(s.cfg.Listen.UDP), udp.Config{
		TokenLifetime: c.TokenLifetime, AEADs: aeads, Retry: retry, FleetKey: keys, NodeID: s.cfg.Fleet.Node(),
		Advertise: string(c.Advertise), Sockets: int(c.Sockets), Share: share,
		ReadBufferBytes: int(read), WriteBufferBytes: int(write), NoBatch: !bool(c.Batch),
		MaxMessage: int(min(s.cfg.Gateway.MaxMessage, 65535)), MaxLanes: int(s.cfg.Gateway.MaxSessions),
		Pool: s.gw.Pool(), Logger: s.log,
	})
	if err != nil {
		return nil, fmt.Errorf("STRAIT_UDP_ADDR: %w", err)
	}
	s.gw.SetOfferer(lanes)
	return lanes, nil
}

func (s *server) listenQUIC(ctx context.Context, keys fleetkey.Ring) (*quic.Listener, error) {
	if s.cfg.Listen.QUIC.Off() {
		return nil, nil
	}
	c, g := s.cfg.QUIC, s.cfg.Gateway
	retry := map[string]quic.Retry{configs.RetryAuto: quic.RetryAuto, configs.RetryAlways: quic.RetryAlways, configs.RetryOff: quic.RetryOff}[c.Retry]
	streams := int(c.MaxStreams)
	if streams == 0 {
		streams = -1 // none
	}
	conf := quic.Config{
		TLS: s.certs.Server(quic.ALPN), Openings: s.gw.Openings(), Pool: s.gw.Pool(),
		Handshakes: int(g.MaxHandshakes), Retry: retry, OpenTimeout: g.OpenTimeout,
		HandshakeTimeout: c.HandshakeTimeout, IdleTimeout: cmp.Or(c.IdleTimeout, g.IdleTimeout), KeepAlive: c.KeepAlive,
		MaxMessage: int(g.MaxMessage), MaxUnreliable: gateway.MaxUnreliable, NoDatagrams: !bool(c.Datagrams),
		StreamWindow: int(c.StreamWindow), ConnWindow: int(c.ConnWindow), MaxStreams: streams,
		Keys: &keys, NodeID: s.cfg.Fleet.Node(), NoGSO: !bool(c.GSO), NoMTUDiscovery: !bool(c.MTUDiscovery),
		ReadBuffer: int(c.ReadBuffer), WriteBuffer: int(c.WriteBuffer),
		QLogDir: c.QLogDir, QLogEvery: int(c.QLogEvery), Logger: s.log,
	}
	if s.cfg.Listen.OnePort() {
		conf.Conn = s.udp.Shared()
	}
	l, err := quic.Listen(ctx, string(s.cfg.Listen.QUIC), conf)
	if err != nil {
		return nil, fmt.Errorf("STRAIT_QUIC_ADDR: %w", err)
	}
	return l, nil
}

func (s *server) collectors() []prometheus.Collector {
	var cs []prometheus.Collector
	if s.tcp != nil {
		cs = append(cs, tcpMetrics{s.tcp})
	}
	if s.udp != nil {
		cs = append(cs, udpMetrics{s.udp})
	}
	if s.quic != nil {
		cs = append(cs, quicMetrics{s.quic})
	}
	return cs
}

// abandon closes what newServer had opened.
func (s *server) abandon() {
	s.closeAdmin()
	if s.tcp != nil {
		s.tcp.Close()
	}
	if s.quic != nil {
		s.quic.Close()
	}
	if s.gw != nil {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		s.gw.Shutdown(ctx)
	}
	if s.certs != nil {
		s.certs.Close()
	}
}

// run serves until ctx ends or a listener fails, and shuts down in order.
func (s *server) run(ctx context.Context) error {
	if err := s.gw.Start(); err != nil {
		s.abandon()
		return err
	}
	s.announce()
	if s.tcp != nil {
		s.gw.Listen(s.tcp, func(err error) { s.failed <- fmt.Errorf("STRAIT_TCP_ADDR: %w", err) })
	}
	if s.quic != nil {
		s.gw.Listen(s.quic, func(err error) { s.failed <- fmt.Errorf("STRAIT_QUIC_ADDR: %w", err) })
	}
	var trimming sync.WaitGroup
	trimCtx, stopTrimming := context.WithCancel(context.Background())
	trimming.Go(func() { newTrimmer(s.gw.Pool()).run(trimCtx) })
	defer trimming.Wait()
	defer stopTrimming()
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	var failure error
	for serving := true; serving; {
		select {
		case <-ctx.Done():
			serving = false
		case failure = <-s.failed:
			s.log.Error("a listener failed", "error", failure)
			serving = false
		case <-hup:
			if err := s.certs.Reload(); err != nil {
				s.log.Error("certificate not reloaded, the old one stays", "error", err)
				continue
			}
			s.log.Info("certificate reloaded", "certificate", s.certs.Description())
		}
	}
	s.gw.Shutdown(context.Background())
	s.closeAdmin()
	s.certs.Close()
	return failure
}

// closeAdmin ends the admin server; a profile under way is cut.
func (s *server) closeAdmin() {
	if s.admin == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = s.admin.Close(ctx)
}

// announce says in one line each what is served where.
func (s *server) announce() {
	if s.tcp != nil {
		s.log.Info("listening", "transport", "tcp", "address", s.tcp.Addr().String())
	}
	if s.quic != nil {
		s.log.Info("listening", "transport", "quic", "address", s.quic.Addr().String())
	}
	if s.udp != nil {
		s.log.Info("listening", "transport", "udp", "address", s.udp.Addr().String(),
			"read_buffer", s.udp.Stats().Sockets[0].ReadBuffer, "write_buffer", s.udp.Stats().Sockets[0].WriteBuffer)
	}
	if s.admin != nil {
		s.log.Info("listening", "admin", "http://"+s.admin.Addr().String(), "paths", "/livez /readyz /metrics /sessions /debug/pprof")
	}
	up := []any{"upstream", s.cfg.Upstream.Backends.String()}
	if !s.cfg.Upstream.Backends.Echo() {
		up = append(up, "streams", s.cfg.Upstream.Streams, "grace", s.cfg.Upstream.Grace)
	}
	s.log.Info("game logic", up...)
	s.log.Info("certificate", "certificate", s.certs.Description(), "pin", fingerprint(s.certs.Fingerprint()))
}

func fingerprint(sum [32]byte) string { return hex.EncodeToString(sum[:]) }
