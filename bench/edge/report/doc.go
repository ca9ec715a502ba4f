//go:build linux

// Package report turns the figures of repeated runs into tables: for each metric
// and target the median, and its ratio to a reference target with the spread.
//
// It never measures and knows no target by name.
//
//  1. A Table names the metrics, the targets, and the reference.
//  2. Each run adds a Row: one target's figures in one repetition.
//  3. The ratio is taken within a repetition, where both met the same machine, and
//     then the median, the least and the greatest of the ratios.
//  4. Text and Markdown print; the structs themselves are the JSON.
package report
