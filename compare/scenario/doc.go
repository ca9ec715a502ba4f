// Package scenario names links that players have, with the sources of their figures.
//
// It owns the catalogue and the text form of a scenario; what the figures do is
// package link's.
//
//  1. [All] and [Lookup] give the scenarios of the catalogue; a name that is not there
//     is a [*nearest.UnknownError], which knows the nearest.
//  2. [Scenario.Set] changes one setting, for flags; [Parse] reads a file of settings,
//     strictly, with line numbers in its errors.
//  3. [Scenario.String] prints what Parse reads; MarshalJSON is for reports and
//     [Markdown] for the documentation.
//
// A scenario is a model: one set of figures that lies within what its sources
// measured, and round, so that nobody takes it for a measurement. What no source
// states is called a choice.
package scenario
