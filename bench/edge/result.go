//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"strait/bench/edge/report"
	pages "strait/compare/report"
)

// result is what a comparison prints.
type result struct {
	Facts  facts           `json:"facts"`
	Notes  []string        `json:"notes,omitempty"`
	Tables []*report.Table `json:"tables"`
}

// legend says how to read a cell.
const legend = "Each figure is the median of the repetitions; behind it × is the ratio to %s, taken in each repetition: the median of these, and from the least to the greatest."

// save writes the result as a page. What the page shows is what is printed as JSON.
func (r *result) save(name, title string) error {
	var b bytes.Buffer
	if err := r.print(&b, asJSON); err != nil {
		return err
	}
	bench, err := pages.ParseBench(&b)
	if err != nil {
		return err
	}
	return pages.Save(name, bench.Page(title).HTML)
}

func (r *result) print(out io.Writer, f format) error {
	if f == asJSON {
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	}
	var b strings.Builder
	bullet := ""
	if f == asMarkdown {
		bullet = "- "
	}
	for _, l := range append(r.Facts.lines(), r.Notes...) {
		fmt.Fprintf(&b, "%s%s\n", bullet, l)
	}
	fmt.Fprintf(&b, "\n"+legend+"\n", r.Tables[0].Reference)
	for _, t := range r.Tables {
		b.WriteByte('\n')
		if f == asMarkdown {
			b.WriteString(t.Markdown())
		} else {
			b.WriteString(t.Text())
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}
