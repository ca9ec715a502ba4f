//go:build linux

package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Text returns the table with aligned columns.
func (t *Table) Text() string {
	cells := t.cells()
	width := make([]int, len(cells[0]))
	for _, row := range cells {
		for i, c := range row {
			width[i] = max(width[i], utf8.RuneCountInString(c))
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", t.Title)
	for _, row := range cells {
		var line strings.Builder
		for i, c := range row {
			fmt.Fprintf(&line, "  %-*s", width[i], c)
		}
		fmt.Fprintf(&b, "%s\n", strings.TrimRight(line.String(), " "))
	}
	for _, n := range t.notes() {
		fmt.Fprintf(&b, "  %s\n", n)
	}
	return b.String()
}

// Markdown returns the table for a page.
func (t *Table) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "### %s\n\n", t.Title)
	for i, row := range t.cells() {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
		if i == 0 {
			fmt.Fprintf(&b, "|---|%s\n", strings.Repeat("---:|", len(row)-1))
		}
	}
	for i, n := range t.notes() {
		if i == 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "- %s\n", n)
	}
	return b.String()
}

// cells returns the table's head and lines. Metrics that nobody measured are left
// out.
func (t *Table) cells() [][]string {
	head := append([]string{""}, t.Targets...)
	out := [][]string{head}
	for _, m := range t.Metrics {
		row := []string{m.Name}
		measured := false
		for _, target := range t.Targets {
			c := t.cell(target, m)
			measured = measured || c != none
			row = append(row, c)
		}
		if measured {
			out = append(out, row)
		}
	}
	return out
}

const none = "-"

// cell is the median, and for others than the reference the ratio and its spread.
func (t *Table) cell(target string, m Metric) string {
	v := t.Value(target, m.Name)
	if math.IsNaN(v.Median) {
		return none
	}
	s := number(v.Median, m.Digits)
	if m.Plain || target == t.Reference {
		return s
	}
	r := t.Ratio(target, m.Name)
	if math.IsNaN(r.Median) {
		return s
	}
	return fmt.Sprintf("%s  ×%.2f (%.2f..%.2f)", s, r.Median, r.Min, r.Max)
}

// number prints v with digits behind the point and commas between thousands.
func number(v float64, digits int) string {
	s := strconv.FormatFloat(math.Abs(v), 'f', digits, 64)
	whole, rest, point := strings.Cut(s, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if point {
		whole += "." + rest
	}
	if math.Signbit(v) && strings.Trim(s, "0.") != "" {
		return "-" + whole
	}
	return whole
}

// notes are those of all runs, each with its target and repetition.
func (t *Table) notes() []string {
	var out []string
	for _, r := range t.Rows {
		for _, n := range r.Notes {
			out = append(out, fmt.Sprintf("%s, repetition %d: %s", r.Target, r.Repetition+1, n))
		}
	}
	return out
}
