package backend

import "strait/proto/straitv1"

// attach makes a stream one that commands are sent on.
func (srv *Server) attach(st *stream) error {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if srv.closed {
		return ErrServerClosed
	}
	// The hello is the first that is queued, since nobody knows the stream yet.
	if err := st.hello(srv.draining); err != nil {
		return err
	}
	srv.streams[st] = struct{}{}
	srv.config.Logger.Info("backend: gateway attached",
		"gateway", st.gateway, "stream", st.index, "remote", st.conn.RemoteAddr().String())
	return nil
}

// detach ends that, and leaves the sessions of the stream without one.
func (srv *Server) detach(st *stream) {
	srv.mu.Lock()
	delete(srv.streams, st)
	srv.mu.Unlock()
	for handle, s := range st.sessions {
		s.left.Store(st)
		if !s.stream.CompareAndSwap(st, nil) {
			delete(st.sessions, handle) // it is on another stream
		}
	}
}

// session finds the session that an announcement is about: the one of before if it
// is announced again, else a new one.
func (srv *Server) session(st *stream, handle uint64, o *straitv1.Opened) *Session {
	if o.GetAgain() {
		srv.mu.Lock()
		s := srv.sessions[key{st.gateway, handle}]
		srv.mu.Unlock()
		// A gateway that was started again counts its handles from the beginning.
		if s != nil && string(s.id[:]) == string(o.GetSessionId()) {
			return s
		}
	}
	return srv.replace(st, handle, o)
}

// replace makes a new session for a handle.
func (srv *Server) replace(st *stream, handle uint64, o *straitv1.Opened) *Session {
	s := newSession(srv, st.gateway, handle, o)
	srv.mu.Lock()
	srv.sessions[key{st.gateway, handle}] = s
	srv.mu.Unlock()
	return s
}

// end is the end of a session; its turn is held.
func (srv *Server) end(s *Session, c Closed) {
	s.closed.Store(true)
	s.stream.Store(nil)
	k := key{s.gateway, s.handle}
	srv.mu.Lock()
	if srv.sessions[k] == s {
		delete(srv.sessions, k)
	}
	srv.mu.Unlock()
	srv.handler.Closed(s, c)
}

// abandon ends a session that was on a stream and was not announced again.
func (srv *Server) abandon(s *Session, st *stream) {
	s.turn.Lock()
	defer s.turn.Unlock()
	if s.closed.Load() || s.stream.Load() != nil || s.left.Load() != st {
		return
	}
	srv.end(s, Closed{Code: UpstreamLost, Reason: "the gateway's stream was lost", Lost: true})
}
