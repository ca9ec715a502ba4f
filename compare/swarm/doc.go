// Package swarm loads a gateway with many clients at once and measures what they
// get: each client is a player with his own session of package client.
//
// It owns the clients, their schedules and the accounting. It prints no progress,
// knows no flags, and says nothing of the gateway's own cost.
//
//  1. [Config.Validate] refuses what makes no sense, also more clients than this
//     process may open files for.
//  2. [Run] opens the clients, spread over [Config.Ramp]; nothing is sent yet. When
//     the first ones all fail, it ends with the error of a dial. UDP lanes that were
//     offered beside TCP get [Config.Wait] to be bound.
//  3. For [Config.Duration] each client sends its flows, each on a schedule of its
//     own that waits for nobody ("open loop"): a message that could not be sent in
//     time is sent late and still carries the time at which it was due.
//  4. Every message carries a header ([HeaderLen]). What comes back with it is the
//     echo, and its latency counts from the time at which the message was due
//     ("coordinated omission"). Whatever else arrives is a snapshot, and is counted.
//  5. What is on the way gets [Config.Wait] to arrive; then all clients are closed,
//     in parallel, and the [Report] is made.
//
// # What is counted
//
// sent are messages that were due while their client had not ended. received are
// those of which an echo arrived, each once; lost is the difference. duplicated
// are further echoes of the same message, disordered those that arrived after a
// later one of their flow. The client library itself leaves out unreliable messages
// that a newer one has overtaken; they are lost here, and [Report.Client] tells how
// many they were.
//
// # When sessions end
//
// A client whose session ends is out, and the run goes on with the others until
// none is left. With [Config.KeepGoing] clients come back as package client does it,
// and the run lasts its time whatever happens. What was due meanwhile counts as
// sent, then, and is lost, or late if it was reliable.
package swarm
