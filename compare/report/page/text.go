package page

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Text returns the page for a terminal of width columns; 0 is no limit. Pictures and
// folded tables are left out; a table that is too wide is cut into blocks of columns.
func (p *Page) Text(width int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", p.Title)
	for _, s := range p.Lead {
		wrap(&b, "", s, width)
	}
	for _, s := range p.Sections {
		fmt.Fprintf(&b, "\n%s\n%s\n", s.Title, strings.Repeat("─", utf8.RuneCountInString(s.Title)))
		for _, t := range s.Prose {
			wrap(&b, "", t, width)
		}
		for _, t := range s.Verdict {
			wrap(&b, "» ", t, width)
		}
		for _, t := range s.List {
			wrap(&b, "- ", t, width)
		}
		if s.Heat != nil {
			heatTable(s).text(&b, width)
		}
		for i := range s.Tables {
			if !s.Tables[i].Folded {
				s.Tables[i].text(&b, width)
			}
		}
	}
	if len(p.Facts) > 0 {
		b.WriteString("\nHow this was measured\n─────────────────────\n")
		for _, f := range p.Facts {
			wrap(&b, "", f.Name+": "+f.Value, width)
		}
	}
	return b.String()
}

// heatTable is the heat map as a table.
func heatTable(s Section) *Table {
	t := &Table{Caption: s.Heat.Title, Columns: append([]string{""}, s.Heat.Columns...)}
	for _, r := range s.Heat.Rows {
		row := Row{Name: r.Name}
		for _, c := range r.Cells {
			row.Cells = append(row.Cells, Cell{Text: strings.TrimSpace(c.Text + " " + c.Mark)})
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// wrap writes a paragraph behind a bullet, continued under its first word.
func wrap(b *strings.Builder, bullet, s string, width int) {
	indent := strings.Repeat(" ", utf8.RuneCountInString(bullet))
	line := bullet
	empty := true
	for _, w := range strings.Fields(s) {
		if !empty && width > 0 && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(w) > width {
			b.WriteString(line + "\n")
			line, empty = indent, true
		}
		if !empty {
			line += " "
		}
		line += w
		empty = false
	}
	b.WriteString(line + "\n")
}

func (t *Table) text(b *strings.Builder, width int) {
	if len(t.Columns) == 0 {
		return
	}
	names := utf8.RuneCountInString(t.Columns[0])
	for _, r := range t.Rows {
		names = max(names, utf8.RuneCountInString(r.Name))
	}
	widths := make([]int, len(t.Columns)-1)
	for i := range widths {
		widths[i] = utf8.RuneCountInString(t.Columns[i+1])
		for _, r := range t.Rows {
			if i < len(r.Cells) {
				widths[i] = max(widths[i], utf8.RuneCountInString(r.Cells[i].Text)+2)
			}
		}
	}
	fmt.Fprintf(b, "\n%s\n", t.Caption)
	for from := 0; from < len(widths) || from == 0; {
		used, to := names, from
		for to < len(widths) && (to == from || width <= 0 || used+2+widths[to] <= width) {
			used += 2 + widths[to]
			to++
		}
		t.block(b, names, widths, from, to)
		if to == len(widths) {
			break
		}
		b.WriteByte('\n')
		from = to
	}
	for _, n := range t.Notes {
		wrap(b, "  ", n, width)
	}
}

// block writes the columns from up to before to.
func (t *Table) block(b *strings.Builder, names int, widths []int, from, to int) {
	align := padLeft
	if t.Wordy {
		align = pad
	}
	line := pad(t.Columns[0], names)
	for i := from; i < to; i++ {
		line += "  " + align(t.Columns[i+1], widths[i])
	}
	b.WriteString(strings.TrimRight(line, " ") + "\n")
	for _, r := range t.Rows {
		line := pad(r.Name, names)
		for i := from; i < to; i++ {
			var c Cell
			if i < len(r.Cells) {
				c = r.Cells[i]
			}
			sign := c.Mark.sign()
			if sign == "" {
				sign = " "
			}
			line += "  " + align(c.Text+" "+sign, widths[i])
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
}

func pad(s string, n int) string {
	return s + strings.Repeat(" ", max(0, n-utf8.RuneCountInString(s)))
}

func padLeft(s string, n int) string {
	return strings.Repeat(" ", max(0, n-utf8.RuneCountInString(s))) + s
}
