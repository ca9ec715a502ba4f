package plot

import (
	"fmt"
	"math"
	"strings"
)

// Point is a point of a curve.
type Point struct{ X, Y float64 }

// Curve is one series of a Line.
type Curve struct {
	Name string
	// Look is the series' number: the same thing looks the same in all pictures.
	Look   int
	Points []Point // in order of X; NaN in Y interrupts
	Marked bool    // each point has a marker; else two are enough to tell the series
}

// Shade marks a part of the X axis.
type Shade struct {
	Name     string
	From, To float64
}

// Line is a picture of curves.
type Line struct {
	ID          string // unique within a page; of letters, digits and dashes
	Title       string
	Description string // what there is to see, for those who cannot
	X, Y        Axis
	Curves      []Curve
	Shades      []Shade
}

// The pictures' size and the room around the plotting area.
const (
	lineWidth, lineHeight = 380, 270
	left, right           = 50, 12
	top, bottom           = 32, 40
	// charWidth is about that of a figure.
	charWidth = 6.6
)

// SVG draws.
func (l *Line) SVG() string {
	p := begin(l.ID, lineWidth, lineHeight, l.Title, l.Description)
	var xs, ys []float64
	for _, c := range l.Curves {
		for _, v := range c.Points {
			xs, ys = append(xs, v.X), append(ys, v.Y)
		}
	}
	sx, sy := l.X.over(xs), l.Y.over(ys)
	w, h := float64(lineWidth-left-right), float64(lineHeight-top-bottom)
	x := func(v float64) float64 { return left + w*sx.place(v) }
	y := func(v float64) float64 { return top + h*(1-sy.place(v)) }

	p.text(8, 18, "", "name", l.Title)
	for _, s := range l.Shades {
		p.rect("span", x(s.From), top, max(x(s.To)-x(s.From), 2), h)
	}
	for _, t := range sy.ticks() {
		at := top + h*(1-t.at)
		p.path("grid", fmt.Sprintf("M%d %sH%s", left, num(at), num(left+w)))
		p.text(left-6, at+4, "end", "", t.text)
	}
	for _, t := range sx.ticks() {
		at := left + w*t.at
		p.path("grid", fmt.Sprintf("M%s %dV%s", num(at), top, num(top+h)))
		if at+charWidth/2*float64(len(t.text)) > lineWidth {
			p.text(lineWidth-1, top+h+15, "end", "", t.text)
		} else {
			p.text(at, top+h+15, "middle", "", t.text)
		}
	}
	p.path("axis", fmt.Sprintf("M%d %dV%sH%s", left, top, num(top+h), num(left+w)))
	p.text(left+w/2, lineHeight-7, "middle", "", l.X.Name)
	fmt.Fprintf(&p.b, `<text transform="translate(11 %s) rotate(-90)" text-anchor="middle">%s</text>`, num(top+h/2), esc(l.Y.Name))
	for _, s := range l.Shades {
		if s.Name != "" {
			p.text(min(x(s.From)+3, left+w-60), top+11, "", "", s.Name)
		}
	}
	for i := range l.Curves {
		l.Curves[i].draw(p, x, y, i, len(l.Curves))
	}
	if len(l.Curves) == 0 {
		p.text(left+w/2, top+h/2, "middle", "", "no valid run")
	}
	return p.end()
}

// draw adds a curve with its markers. Two are at places of its own, so that markers of
// curves that run together do not cover each other.
func (c *Curve) draw(p *picture, x, y func(float64) float64, nth, of int) {
	look := c.Look % Series
	fmt.Fprintf(&p.b, `<g class="series" data-series="%s"><title>%s</title>`, esc(c.Name), esc(c.Name))
	var d strings.Builder
	pen := byte('M')
	var drawn []Point
	for _, v := range c.Points {
		if math.IsNaN(v.Y) {
			pen = 'M'
			continue
		}
		at := Point{x(v.X), y(v.Y)}
		fmt.Fprintf(&d, "%c%s %s", pen, num(at.X), num(at.Y))
		pen = 'L'
		drawn = append(drawn, at)
	}
	if len(drawn) > 0 {
		p.path(fmt.Sprintf("curve s%d", look), d.String())
		if c.Marked {
			for _, m := range drawn {
				p.b.WriteString(marker(look, m.X, m.Y))
			}
			p.b.WriteString("</g>")
			return
		}
		for _, share := range []float64{0.15, 0.6} {
			i := int((share + 0.3*float64(nth)/float64(max(of, 1))) * float64(len(drawn)))
			m := drawn[min(i, len(drawn)-1)]
			p.b.WriteString(marker(look, m.X, m.Y))
		}
	}
	p.b.WriteString("</g>")
}
