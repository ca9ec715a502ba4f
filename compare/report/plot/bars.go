package plot

import (
	"fmt"
	"math"
)

// Bar is one bar. Low and High bound its interval; NaN is none.
type Bar struct {
	Name      string
	Look      int
	Value     float64
	Low, High float64
	// Text is the value as it is to be read.
	Text string
}

// Bars is a picture of bars that lie one below the other.
type Bars struct {
	ID          string
	Title       string
	Description string
	X           Axis // linear; begins at 0
	Bars        []Bar
}

// SVG draws.
func (b *Bars) SVG() string {
	const row, names, end = 27, 122, 74
	w := float64(lineWidth - names - end)
	bottomAt := float64(top + row*len(b.Bars))
	p := begin(b.ID, lineWidth, bottomAt+bottom, b.Title, b.Description)
	p.text(8, 18, "", "name", b.Title)
	var values []float64
	for _, bar := range b.Bars {
		values = append(values, bar.Value, bar.High)
	}
	s := Axis{Name: b.X.Name, Min: 0, Max: b.X.Max}.over(values)
	x := func(v float64) float64 { return names + w*s.place(v) }
	for _, t := range s.ticks() {
		at := names + w*t.at
		p.path("grid", fmt.Sprintf("M%s %dV%s", num(at), top, num(bottomAt)))
		p.text(at, bottomAt+15, "middle", "", t.text)
	}
	for i, bar := range b.Bars {
		y := float64(top + row*i)
		p.text(names-8, y+17, "end", "value", cut(bar.Name))
		fmt.Fprintf(&p.b, `<g class="series" data-series="%s"><title>%s</title>`, esc(bar.Name), esc(bar.Name+": "+bar.Text))
		if math.IsNaN(bar.Value) {
			p.text(names+4, y+17, "", "", "not measured")
			p.b.WriteString("</g>")
			continue
		}
		p.rect(fmt.Sprintf("f%d", bar.Look%Series), names, y+6, max(x(bar.Value)-names, 1), row-12)
		after := x(bar.Value)
		if !math.IsNaN(bar.Low) && !math.IsNaN(bar.High) {
			lo, hi, mid := x(bar.Low), x(bar.High), y+row/2
			p.path("bound", fmt.Sprintf("M%s %sV%sM%s %sH%sM%s %sV%s", num(lo), num(mid-4), num(mid+4), num(lo), num(mid), num(hi), num(hi), num(mid-4), num(mid+4)))
			after = max(after, hi)
		}
		p.text(after+6, y+17, "", "value", bar.Text)
		p.b.WriteString("</g>")
	}
	p.path("axis", fmt.Sprintf("M%d %dV%s", names, top, num(bottomAt)))
	p.text(names+w/2, bottomAt+bottom-7, "middle", "", b.X.Name)
	return p.end()
}

// cut shortens a name to what has room beside a bar.
func cut(name string) string {
	const room = 16
	if r := []rune(name); len(r) > room {
		return string(r[:room-1]) + "…"
	}
	return name
}
