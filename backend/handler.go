package backend

// Handler is game logic. The callbacks of one stream come in order and one at a
// time, those of different streams concurrently; those of one session never
// overlap. What is sent on a stream while one of its callbacks runs is written when
// the callbacks of its batch have returned, also what other goroutines send. So a
// callback that takes long delays the other sessions of its stream, and
// one that takes longer than the gateway's ping timeout loses the stream.
type Handler interface {
	// Opened announces a player. With s.Again it was announced before, here or to a
	// backend that was lost, and messages may come that were delivered already.
	Opened(s *Session)
	// Message is a message of the player; m.Payload is borrowed until return.
	Message(s *Session, m Message)
	// Closed is the last callback for s.
	Closed(s *Session, c Closed)
}

// LinkHandler is a Handler that wants to know when a player's transport, address
// or quality changed.
type LinkHandler interface {
	Link(s *Session, l Link)
}

// Funcs is a Handler made of functions; nil ones ignore what they would be called
// for.
type Funcs struct {
	OnOpened  func(s *Session)
	OnMessage func(s *Session, m Message)
	OnClosed  func(s *Session, c Closed)
	OnLink    func(s *Session, l Link)
}

// Opened implements [Handler].
func (f Funcs) Opened(s *Session) {
	if f.OnOpened != nil {
		f.OnOpened(s)
	}
}

// Message implements [Handler].
func (f Funcs) Message(s *Session, m Message) {
	if f.OnMessage != nil {
		f.OnMessage(s, m)
	}
}

// Closed implements [Handler].
func (f Funcs) Closed(s *Session, c Closed) {
	if f.OnClosed != nil {
		f.OnClosed(s, c)
	}
}

// Link implements [LinkHandler].
func (f Funcs) Link(s *Session, l Link) {
	if f.OnLink != nil {
		f.OnLink(s, l)
	}
}
