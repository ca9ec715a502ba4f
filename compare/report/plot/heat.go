package plot

import (
	"fmt"
	"unicode/utf8"
)

// HeatCell is one cell.
type HeatCell struct {
	// Step is 0 (good) to Steps-1 (bad); negative is that there is no value.
	Step int
	Text string // what it says, short
	// Mark stands behind the text: what colour alone must not say.
	Mark string
	// Label is the whole of it, for pointers and those who cannot see.
	Label string
}

// Heat is a picture of a table of values.
type Heat struct {
	ID          string
	Title       string
	Description string
	Columns     []string
	Rows        []HeatRow
	// Legend says what each step means.
	Legend [Steps]string
}

// HeatRow is a row; Cells are as many as the columns.
type HeatRow struct {
	Name  string
	Cells []HeatCell
}

// SVG draws.
func (h *Heat) SVG() string {
	const cell, row, names, head = 84, 26, 150, 52
	width := float64(names + cell*len(h.Columns) + 10)
	legend := float64(names)
	for _, s := range h.Legend {
		if s != "" {
			legend += keyWidth(s)
		}
	}
	width = max(width, legend)
	height := float64(head + row*len(h.Rows) + 34)
	p := begin(h.ID, width, height, h.Title, h.Description)
	p.text(8, 18, "", "name", h.Title)
	for i, c := range h.Columns {
		p.text(names+cell*(float64(i)+.5), head-8, "middle", "", c)
	}
	for r, line := range h.Rows {
		y := float64(head + row*r)
		p.text(names-8, y+17, "end", "value", line.Name)
		for i, c := range line.Cells {
			class := "hx"
			if c.Step >= 0 {
				class = fmt.Sprintf("h%d", min(c.Step, Steps-1))
			}
			x := float64(names + cell*i)
			fmt.Fprintf(&p.b, "<g><title>%s</title>", esc(c.Label))
			p.rect(class, x+1, y+1, cell-2, row-2)
			text := c.Text
			if c.Mark != "" {
				text += " " + c.Mark
			}
			p.text(x+cell/2, y+17, "middle", "value", text)
			p.b.WriteString("</g>")
		}
	}
	y := height - 18
	x := float64(names)
	for i, s := range h.Legend {
		if s == "" {
			continue
		}
		p.rect(fmt.Sprintf("h%d", i), x, y-1, 14, 12)
		p.text(x+19, y+9, "", "", s)
		x += keyWidth(s)
	}
	return p.end()
}

// keyWidth is the room of a step in the legend.
func keyWidth(s string) float64 { return 34 + 6.4*float64(utf8.RuneCountInString(s)) }
