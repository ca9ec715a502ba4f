package swarm

import (
	"context"
	"sync"
	"sync/atomic"

	"strait/client"
)

// player is one client. One goroutine of its own opens the session and receives;
// another lives while there is chat to send, because that may have to wait.
type player struct {
	// static
	swarm  *swarm
	number uint32
	tally  *tally
	phases [flows]int64
	// sendChat is chatter as a value: starting it allocates nothing.
	sendChat func()

	// owned by the goroutine that receives
	orders [flows]order

	// set before open is
	client *client.Client
	open   atomic.Bool // the first session was opened
	ended  atomic.Bool // and there will be no other

	// owned by whoever opens, then by Run
	transport client.Transport // what the session was on when Run looked last

	// guarded by mu
	mu      sync.Mutex
	due     uint32 // sequence number of the chat message that is due next
	sent    uint32 // and of the one to be sent next
	talking bool   // sendChat runs
}

func newPlayer(s *swarm, number int) *player {
	p := &player{swarm: s, number: uint32(number), tally: s.tallies[number%len(s.tallies)]}
	for f := range p.phases {
		p.phases[f] = s.beats[f].phase(s.config.Seed, f, p.number)
	}
	p.sendChat = p.chatter
	return p
}

// dial opens the session.
func (p *player) dial(ctx context.Context) error {
	o := p.swarm.config.Options
	o.OnState = nil
	o.Reconnect.First = false
	o.Reconnect.Off = !p.swarm.config.KeepGoing
	if p.swarm.config.KeepGoing {
		o.OnState = p.hear
	}
	c, err := client.Dial(ctx, p.swarm.config.Addr, o)
	if err != nil {
		return err
	}
	p.client, p.transport = c, c.Info().Transport
	p.open.Store(true)
	return nil
}

// hear follows the sessions of a client that comes back.
func (p *player) hear(s client.State) {
	if p.swarm.closing.Load() {
		return
	}
	switch s.Kind {
	case client.Lost:
		p.swarm.live.Add(-1)
		p.swarm.failures.add(session, s.Err)
	case client.Reconnecting:
		if s.Attempt > 1 {
			p.swarm.failures.add(reopening, s.Err)
		}
	case client.Reopened:
		p.swarm.live.Add(1)
	}
}

// receive counts what arrives until the client has ended, and returns why.
func (p *player) receive() error {
	for {
		m, err := p.client.Receive(context.Background())
		if err != nil {
			p.ended.Store(true)
			return err
		}
		p.take(m.Payload, p.swarm.now())
	}
}

// take counts one message.
func (p *player) take(payload []byte, now int64) {
	h, ok := parse(payload)
	if !ok || h.run != p.swarm.run || h.client != p.number {
		p.tally.snapshots.Add(1)
		p.tally.snapshotBytes.Add(uint64(len(payload)))
		return
	}
	p.tally.flows[h.flow].echo(p.orders[h.flow].see(h.seq), len(payload), now-h.due)
}

// input sends an input; b holds the filler, and its header is overwritten.
func (p *player) input(b []byte, seq uint32, due int64) {
	p.tally.flows[inputs].sent.Add(1)
	header{flow: inputs, run: p.swarm.run, client: p.number, seq: seq, due: due}.put(b)
	err := p.client.Send(context.Background(), client.Unreliable, p.swarm.config.Inputs.Channel, b)
	if err != nil && p.client.Err() == nil {
		p.swarm.failures.add(sending, err)
	}
}

// chat notes that a message is due and sees to it that somebody sends it.
func (p *player) chat(seq uint32) {
	p.tally.flows[chat].sent.Add(1)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.due = seq + 1
	if !p.talking {
		p.talking = true
		p.swarm.chatting.Add(1)
		go p.sendChat()
	}
}

// chatter sends what is due, however long that takes.
func (p *player) chatter() {
	defer p.swarm.chatting.Done()
	s := p.swarm
	b := s.chats.Get().(*[]byte)
	defer s.chats.Put(b)
	for {
		p.mu.Lock()
		if p.sent == p.due {
			p.talking = false
			p.mu.Unlock()
			return
		}
		seq := p.sent
		p.sent++
		p.mu.Unlock()
		due := s.start + s.beats[chat].due(seq, p.phases[chat])
		header{flow: chat, run: s.run, client: p.number, seq: seq, due: due}.put(*b)
		err := p.client.Send(s.sending, client.Reliable, s.config.Chat.Channel, *b)
		if err == nil {
			continue
		}
		if s.sending.Err() != nil {
			return // talking stays true: nobody begins anew
		}
		if p.client.Err() == nil {
			s.failures.add(sending, err)
		}
	}
}
