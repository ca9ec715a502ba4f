package measure

import (
	"fmt"
	"math"
)

// Flow is one kind of message in one direction.
type Flow struct {
	Name     string `json:"name"`
	Up       bool   `json:"up"` // from player to game logic
	Reliable bool   `json:"reliable"`
	Channel  uint8  `json:"channel"`
	Bytes    int    `json:"bytes"` // payload of a message
	// PerSecond is how many messages a second fall due.
	PerSecond float64 `json:"per_second"`
	// State says that a message replaces those before it: the age of state is taken
	// from such a flow.
	State bool `json:"state,omitempty"`
}

// Log is what one end knows of one flow. A message is known by its place in Due.
type Log struct {
	// Due is when each message was to be sent, in order; the end that sends has it.
	Due []int64 `json:"due,omitempty"`
	// Refused are those that the transport did not take.
	Refused []uint32 `json:"refused,omitempty"`
	// Arrivals are in order of arrival; the end that receives has them.
	Arrivals []Arrival `json:"arrivals,omitempty"`
}

// Arrival is a message that came, also if it came before.
type Arrival struct {
	Seq uint32 `json:"s"`
	Due int64  `json:"d"` // as the message itself said
	At  int64  `json:"a"`
}

// PlayerLog is what one end has of one player. Logs are by flow, in the order of
// the workload; a nil one belongs to the other end.
type PlayerLog struct {
	Player uint32 `json:"player"`
	Logs   []Log  `json:"logs"`
	// Dialled and Opened are when the player began to connect and when he could send;
	// Opened 0 is never. Only the player's end has these and the next two.
	Dialled int64 `json:"dialled,omitempty"`
	Opened  int64 `json:"opened,omitempty"`
	// Reconnects counts the connections after the first one.
	Reconnects int `json:"reconnects,omitempty"`
	// Failure is why the player could not play on; empty is that he could.
	Failure string `json:"failure,omitempty"`
	// Late is how long after its time the end's own clockwork woke up: a late end
	// measures itself.
	Late *Histogram `json:"late,omitempty"`
}

// Join returns the logs of player with what the other end knows of him filled in.
// Neither argument is changed; the result shares their memory.
func Join(player, logic PlayerLog) (PlayerLog, error) {
	if player.Player != logic.Player {
		return PlayerLog{}, fmt.Errorf("logs of player %d do not go with those of player %d", logic.Player, player.Player)
	}
	if len(player.Logs) != len(logic.Logs) {
		return PlayerLog{}, fmt.Errorf("player %d: %d flows at his end, %d at the other: both run one workload", player.Player, len(player.Logs), len(logic.Logs))
	}
	out := player
	out.Logs = make([]Log, len(player.Logs))
	for i, a := range player.Logs {
		b := logic.Logs[i]
		if len(a.Due) > 0 && len(b.Due) > 0 || len(a.Arrivals) > 0 && len(b.Arrivals) > 0 {
			return PlayerLog{}, fmt.Errorf("player %d: flow %d was sent, or received, at both ends", player.Player, i)
		}
		if len(a.Due) == 0 {
			a.Due, a.Refused = b.Due, b.Refused
		}
		if len(a.Arrivals) == 0 {
			a.Arrivals = b.Arrivals
		}
		out.Logs[i] = a
	}
	return out, nil
}

// Window is the part of a run that counts: messages due from From until before To.
type Window struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

// Seconds is the window's length.
func (w Window) Seconds() float64 { return float64(w.To-w.From) / 1e9 }

func (w Window) holds(t int64) bool { return w.From <= t && t < w.To }

// valid refuses a window in which nothing could be counted.
func (w Window) valid() error {
	if w.To <= w.From || w.To-w.From > math.MaxInt64/2 {
		return fmt.Errorf("window from %d to %d is empty; To must be after From", w.From, w.To)
	}
	return nil
}

// playing is the part of the window in which the player had a session; all of it if he
// never had one.
func (p *PlayerLog) playing(w Window) Window {
	return Window{From: min(max(w.From, p.Opened), w.To), To: w.To}
}
