package backend

import (
	"maps"
	"net/netip"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"strait/proto/batch"
	"strait/proto/straitv1"
)

// Session is one player. All methods are safe for concurrent use and never wait
// for the network. Commands are carried out in the order in which one goroutine
// gives them.
type Session struct {
	// Static.
	server  *Server
	gateway string
	handle  uint64
	id      ID
	subject string
	claims  map[string]string

	about  atomic.Pointer[about]
	stream atomic.Pointer[stream] // nil: detached, or closed
	left   atomic.Pointer[stream] // the one that it was on when it was last detached
	closed atomic.Bool

	turn sync.Mutex // held during each callback

	mu    sync.Mutex
	value any
}

// about is what may change when a session is announced again, or its link changes.
type about struct {
	remote    netip.AddrPort
	transport Transport
	route     string
	again     bool
}

func newSession(srv *Server, gateway string, handle uint64, o *straitv1.Opened) *Session {
	s := &Session{server: srv, gateway: gateway, handle: handle, subject: o.GetSubject(), claims: o.GetClaims()}
	copy(s.id[:], o.GetSessionId())
	s.describe(o)
	return s
}

func (s *Session) describe(o *straitv1.Opened) {
	s.about.Store(&about{
		remote:    parseRemote(o.GetRemote()),
		transport: Transport(o.GetTransport()),
		route:     o.GetRoute(),
		again:     o.GetAgain(),
	})
}

// parseRemote gives the zero address for what is none.
func parseRemote(s string) netip.AddrPort {
	a, _ := netip.ParseAddrPort(s)
	return a
}

// Handle names the session within its gateway; it is not used again while the
// gateway's process lives.
func (s *Session) Handle() uint64 { return s.handle }

// Gateway is the id of the gateway that the player is connected to.
func (s *Session) Gateway() string { return s.gateway }

// ID is the session's name; the client knows the same.
func (s *Session) ID() ID { return s.id }

// Subject is the authenticated player; empty without authentication.
func (s *Session) Subject() string { return s.subject }

// Claims are those of the authentication.
func (s *Session) Claims() map[string]string { return maps.Clone(s.claims) }

// Remote is the address of the client itself.
func (s *Session) Remote() netip.AddrPort { return s.about.Load().remote }

// Transport is what the player is connected by.
func (s *Session) Transport() Transport { return s.about.Load().transport }

// Route is the route that the session is on.
func (s *Session) Route() string { return s.about.Load().route }

// Again reports whether the session was announced before, on a stream or a backend
// that was lost.
func (s *Session) Again() bool { return s.about.Load().again }

// Value returns what SetValue stored; nil before.
func (s *Session) Value() any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.value
}

// SetValue stores the application's own state with the session. It survives the
// loss of a stream, but not of this process.
func (s *Session) SetValue(v any) {
	s.mu.Lock()
	s.value = v
	s.mu.Unlock()
}

// out returns where commands for the session go.
func (s *Session) out() (*outbox, error) {
	if st := s.stream.Load(); st != nil {
		return st.out, nil
	}
	if s.closed.Load() {
		return nil, ErrSessionClosed
	}
	return nil, ErrDetached
}

// begin is outbox.begin of the session's stream.
func (s *Session) begin(size int) (*outbox, []byte, error) {
	o, err := s.out()
	if err != nil {
		return nil, nil, err
	}
	b, err := o.begin(size)
	return o, b, err
}

// Send sends a message to the player. The payload is copied. The error is a
// *FullError when the gateway does not read, ErrDetached or ErrSessionClosed.
func (s *Session) Send(d Delivery, channel uint8, payload []byte) error {
	if d > Unreliable {
		return errDelivery
	}
	o, b, err := s.begin(len(payload))
	if err != nil {
		return err
	}
	o.end(batch.AppendSendOne(b, s.handle, uint32(channel), d == Unreliable, payload))
	return nil
}

// Close ends the session after what was sent has gone out. Closed follows.
func (s *Session) Close(code Code, reason string) error {
	if !code.known() {
		return &ArgumentError{Want: code.String() + " is no close code; use one of this package's"}
	}
	if err := checkText("a reason", reason); err != nil {
		return err
	}
	o, b, err := s.begin(len(reason))
	if err != nil {
		return err
	}
	o.end(batch.AppendCloseSession(b, s.handle, uint32(code), reason))
	return nil
}

// Join adds the session to a group of its route; Publish reaches it from then on.
func (s *Session) Join(group string) error {
	return s.group(group, batch.AppendJoin)
}

// Leave takes the session out of a group.
func (s *Session) Leave(group string) error {
	return s.group(group, batch.AppendLeave)
}

func (s *Session) group(group string, add func([]byte, string, []uint64) []byte) error {
	if err := checkText("the name of a group", group); err != nil {
		return err
	}
	o, b, err := s.begin(len(group))
	if err != nil {
		return err
	}
	o.end(add(b, group, []uint64{s.handle}))
	return nil
}

// Move hands the session to a backend of another route: Closed with NORMAL follows
// here, and Opened there. Where no backend serves the route nothing happens.
func (s *Session) Move(route string) error {
	if err := checkText("a route", route); err != nil {
		return err
	}
	o, b, err := s.begin(len(route))
	if err != nil {
		return err
	}
	o.end(batch.AppendMove(b, s.handle, route))
	return nil
}

var errDelivery = &ArgumentError{Want: "the delivery must be Reliable or Unreliable"}

func checkText(what, text string) error {
	if !utf8.ValidString(text) {
		return &ArgumentError{Want: what + " must be UTF-8"}
	}
	return nil
}
