package page

import (
	"fmt"
	"path"
	"strings"

	"strait/compare/report/plot"
)

// Markdown returns the page and its pictures by file name. The text refers to them
// below pictures, a relative path with slashes; empty is beside the page.
func (p *Page) Markdown(pictures string) (text string, files map[string]string) {
	files = make(map[string]string)
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n", escape(p.Title))
	paragraphs(&b, p.Lead)
	for _, s := range p.Sections {
		fmt.Fprintf(&b, "## %s\n\n", escape(s.Title))
		paragraphs(&b, s.Prose)
		for i, v := range s.Verdict {
			if i > 0 {
				b.WriteString(">\n")
			}
			fmt.Fprintf(&b, "> %s\n", escape(v))
		}
		if len(s.Verdict) > 0 {
			b.WriteByte('\n')
		}
		for _, l := range s.List {
			fmt.Fprintf(&b, "- %s\n", escape(l))
		}
		if len(s.List) > 0 {
			b.WriteByte('\n')
		}
		picture := func(id, title string, pic Picture) {
			name := id + ".svg"
			files[name] = plot.Standalone(pic.SVG())
			fmt.Fprintf(&b, "![%s](%s)\n", escape(title), path.Join(pictures, name))
		}
		if s.Heat != nil {
			picture(s.Heat.ID, s.Heat.Title, s.Heat)
			b.WriteByte('\n')
			heatTable(s).markdown(&b)
		}
		if len(s.Pictures) > 0 {
			names := make([]string, 0, len(p.Legend))
			for _, l := range p.Legend {
				names = append(names, l.Name)
			}
			files["legend.svg"] = plot.Standalone(plot.Legend("legend", names))
			fmt.Fprintf(&b, "![Legend: %s](%s)\n\n", escape(strings.Join(names, ", ")), path.Join(pictures, "legend.svg"))
		}
		for _, pic := range s.Pictures {
			switch v := pic.(type) {
			case *plot.Line:
				picture(v.ID, v.Title, v)
			case *plot.Bars:
				picture(v.ID, v.Title, v)
			}
		}
		if len(s.Pictures) > 0 {
			b.WriteByte('\n')
		}
		for i := range s.Tables {
			s.Tables[i].markdown(&b)
		}
	}
	if len(p.Facts) > 0 {
		b.WriteString("## How this was measured\n\n")
		for _, f := range p.Facts {
			fmt.Fprintf(&b, "- %s: %s\n", escape(f.Name), escape(f.Value))
		}
	}
	return strings.TrimRight(b.String(), "\n") + "\n", files
}

func paragraphs(b *strings.Builder, ps []string) {
	for _, s := range ps {
		fmt.Fprintf(b, "%s\n\n", escape(s))
	}
}

func (t *Table) markdown(b *strings.Builder) {
	fmt.Fprintf(b, "**%s**\n\n", escape(t.Caption))
	for i, c := range t.Columns {
		if i == 0 {
			b.WriteByte('|')
		}
		fmt.Fprintf(b, " %s |", escape(c))
	}
	fmt.Fprintf(b, "\n|---|%s\n", strings.Repeat("---:|", max(len(t.Columns)-1, 0)))
	for _, r := range t.Rows {
		fmt.Fprintf(b, "| %s |", escape(r.Name))
		for _, c := range r.Cells {
			text := escape(c.Text)
			switch {
			case c.Mark == Best:
				text = "**" + text + "** " + c.Mark.sign()
			case c.Mark != Plain:
				text += " " + c.Mark.sign()
			}
			fmt.Fprintf(b, " %s |", text)
		}
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	paragraphs(b, t.Notes)
}

var markdown = strings.NewReplacer("\\", "\\\\", "|", "\\|", "<", "&lt;", "*", "\\*", "_", "\\_", "`", "\\`", "[", "\\[", "\n", " ")

func escape(s string) string { return markdown.Replace(s) }
