// Package game is the workload that transports are compared with: a player who sends
// inputs at 60 Hz, game logic that answers with the state of the world at 30 Hz, and
// reliable events both ways on two channels at once.
//
// It knows no transport: a player's end of one is a Conn, game logic's end a Sender.
// It evaluates nothing; package measure does that with the logs of both ends.
//
//  1. A Player dials, and sends each flow on its own schedule, from the moment the
//     session is open ("open loop"): a message that could not be sent in time is sent
//     late and still carries the time at which it was due.
//  2. Logic knows a player by the number in every message, not by his connection, so
//     a player who comes back continues where he was. Its one goroutine sends to all
//     players on one schedule, as game servers do.
//  3. Both note what arrives, with the sender's due time, and stop sending at the end
//     of the run; the player goes on receiving for a while.
//  4. The player's Log and Logic's for the same player are joined by measure.Join.
package game
