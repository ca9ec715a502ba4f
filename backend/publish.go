package backend

import (
	"errors"
	"fmt"
	"slices"

	"strait/proto/batch"
)

// Publish sends a message to all members of a group, on every gateway, but not to
// the sessions of except. The payload is copied.
//
// The link has no word for the route of a group: a gateway takes the group of that
// name in every route that the backend serves. route has to be one of them, and a
// backend of several routes has to give their groups different names.
//
// It comes in order with what the same goroutine sent before to sessions on the
// same stream of the gateway, not with what it sent to others.
func (srv *Server) Publish(route, group string, d Delivery, channel uint8, payload []byte, except ...*Session) error {
	if d > Unreliable {
		return errDelivery
	}
	if err := checkText("the name of a group", group); err != nil {
		return err
	}
	if routes := srv.config.Routes; len(routes) > 0 && !slices.Contains(routes, route) {
		return &ArgumentError{Want: fmt.Sprintf("this backend does not serve route %q; it serves %q", route, routes)}
	}
	first := srv.firstStreams()
	if len(first) == 0 {
		return ErrNoGateway
	}
	var errs []error
	for _, st := range first {
		var handles []uint64
		for _, s := range except {
			if s.gateway == st.gateway {
				handles = append(handles, s.handle)
			}
		}
		b, err := st.out.begin(len(group) + len(payload) + len(handles)*handleSize)
		if err != nil {
			errs = append(errs, fmt.Errorf("gateway %q: %w", st.gateway, err))
			continue
		}
		st.out.end(batch.AppendPublish(b, group, uint32(channel), d == Unreliable, payload, handles))
	}
	return errors.Join(errs...)
}

// firstStreams returns one stream of each gateway, always the same while it lives.
func (srv *Server) firstStreams() []*stream {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	var first []*stream
next:
	for st := range srv.streams {
		for i, other := range first {
			if other.gateway == st.gateway {
				if st.index < other.index {
					first[i] = st
				}
				continue next
			}
		}
		first = append(first, st)
	}
	return first
}
