// Package measure turns what both ends of a game session have logged into figures:
// latency, loss, stalls, the age of the state that a player sees, recovery after an
// outage, and the cost in bytes and CPU; and repetitions into means with intervals.
//
// It measures nothing itself, reads no clock and does no I/O. Times are nanoseconds
// of one monotonic clock that both ends share; latency counts from the moment at
// which a message was due, not from the one at which it was sent, so that a sender
// that was held up does not hide the delay ("coordinated omission").
//
//  1. Each end keeps a Log per flow: what was due, what has arrived.
//  2. Join pairs the logs of a player with those of game logic.
//  3. Take turns the pairs into the figures of one Run, within a Window.
//  4. A Run that the machine or the emulator has spoiled (Judge) says why in Invalid; it is
//     kept for the record and averaged into nothing.
//  5. Merge makes a Cell of the valid runs of one transport in one scenario: merged
//     distributions, and for each Metric the mean with its Student t interval over
//     the repetitions, which are the independent samples (the messages inside one
//     are not).
package measure
