// Package grid runs a comparison: every transport in every scenario, repeatedly, each
// in a lab of its own.
//
// It owns the schedule, the programs at the ends of each link and the clocks; it
// decides nothing about the figures (package measure) nor about what they mean
// (package report). This process moves the packets and waits; all work of servers and
// players is done by children.
//
//  1. [Config] says what is to be run; Validate refuses what cannot be.
//  2. [Run] goes through the grid repetition by repetition, so that what changes on the
//     machine in the course of it meets all transports alike. Some cells run side by
//     side: one needs a few per cent of a core.
//  3. A cell is a lab with two children in it, a server and a player, of the program
//     that Config.Program names; they call [Child]. After the warm-up, in which nothing
//     but outages is missing, the link begins anew with the cell's seed, and what is
//     due from then on counts. All clocks are the machine's monotonic one.
//  4. The children write what they have logged; measure makes a run of it. The link's
//     bytes come from the lab, CPU time from the children themselves.
//  5. A cell that the machine or the emulator spoiled, or whose child died, is repeated
//     once, at the end, beside one other at most, as far as there is time for it. One
//     that is spoiled still is kept with its reasons, and counts nowhere.
//  6. The result is a [report.Report].
package grid
