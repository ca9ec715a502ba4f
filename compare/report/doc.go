// Package report makes of the runs of a comparison what a game developer decides
// from: which transport for which players, by rules that are printed with the
// answer, and everything behind it.
//
// It measures nothing and reads no clock; equal input gives equal bytes.
//
//  1. A Report holds the runs with all that one must know of how they were taken.
//     Its JSON is the record; the rest is derived from it and can be again.
//  2. Finish merges the runs into cells and judges each scenario.
//  3. Page arranges the result; package page renders it as HTML, Markdown or text.
//     Bench arranges the tables of bench/edge in the same style, those of a grid with
//     an overview.
//  4. Save writes the files, each whole or not at all.
package report
