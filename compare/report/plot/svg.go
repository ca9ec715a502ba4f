package plot

import (
	"fmt"
	"html"
	"strconv"
	"strings"
)

// picture builds one SVG.
type picture struct {
	b strings.Builder
}

// begin opens a picture. id is unique within a page.
func begin(id string, width, height float64, title, description string) *picture {
	p := new(picture)
	fmt.Fprintf(&p.b, `<svg class="plot" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %s %s" role="img" aria-labelledby="%s-t %s-d">`,
		num(width), num(height), esc(id), esc(id))
	fmt.Fprintf(&p.b, `<title id="%s-t">%s</title><desc id="%s-d">%s</desc>`, esc(id), esc(title), esc(id), esc(description))
	fmt.Fprintf(&p.b, `<rect class="back" width="%s" height="%s"/>`, num(width), num(height))
	return p
}

func (p *picture) end() string {
	p.b.WriteString("</svg>\n")
	return p.b.String()
}

func (p *picture) text(x, y float64, anchor, class, s string) {
	fmt.Fprintf(&p.b, `<text x="%s" y="%s"`, num(x), num(y))
	if anchor != "" {
		fmt.Fprintf(&p.b, ` text-anchor="%s"`, anchor)
	}
	if class != "" {
		fmt.Fprintf(&p.b, ` class="%s"`, class)
	}
	fmt.Fprintf(&p.b, ">%s</text>", esc(s))
}

func (p *picture) path(class, d string) {
	fmt.Fprintf(&p.b, `<path class="%s" d="%s"/>`, class, d)
}

func (p *picture) rect(class string, x, y, w, h float64) {
	fmt.Fprintf(&p.b, `<rect class="%s" x="%s" y="%s" width="%s" height="%s"/>`, class, num(x), num(y), num(w), num(h))
}

// marker is the shape of series i around a point.
func marker(i int, x, y float64) string {
	i %= Series
	const r = 3.4
	var d string
	switch i {
	case 0:
		return fmt.Sprintf(`<circle class="f0" cx="%s" cy="%s" r="%s"/>`, num(x), num(y), num(r))
	case 1: // square
		d = poly(x, y, -r, -r, r, -r, r, r, -r, r)
	case 2: // triangle
		d = poly(x, y, 0, -r-1, r+1, r, -r-1, r)
	case 3: // diamond
		d = poly(x, y, 0, -r-1, r+1, 0, 0, r+1, -r-1, 0)
	case 4: // triangle, point down
		d = poly(x, y, -r-1, -r, r+1, -r, 0, r+1)
	case 5: // plus
		d = poly(x, y, -1.4, -4, 1.4, -4, 1.4, -1.4, 4, -1.4, 4, 1.4, 1.4, 1.4, 1.4, 4, -1.4, 4, -1.4, 1.4, -4, 1.4, -4, -1.4, -1.4, -1.4)
	case 6: // bar
		d = poly(x, y, -1.6, -4.5, 1.6, -4.5, 1.6, 4.5, -1.6, 4.5)
	default: // hourglass
		d = poly(x, y, -r, -r-.6, r, -r-.6, -r, r+.6, r, r+.6)
	}
	return fmt.Sprintf(`<path class="f%d" d="%s"/>`, i, d)
}

func poly(x, y float64, corners ...float64) string {
	var b strings.Builder
	for i := 0; i < len(corners); i += 2 {
		c := byte('L')
		if i == 0 {
			c = 'M'
		}
		fmt.Fprintf(&b, "%c%s %s", c, num(x+corners[i]), num(y+corners[i+1]))
	}
	return b.String() + "Z"
}

// num prints a coordinate: a tenth of a pixel is enough.
func num(v float64) string {
	s := strconv.FormatFloat(v, 'f', 1, 64)
	s = strings.TrimSuffix(s, ".0")
	if s == "-0" {
		return "0"
	}
	return s
}

func esc(s string) string { return html.EscapeString(s) }
