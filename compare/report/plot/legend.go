package plot

import "fmt"

// Legend is a picture of what the series look like, for pages that cannot show it in
// their own way. The look of a name is its place.
func Legend(id string, names []string) string {
	const cell, perRow, row = 150, 5, 22
	rows := (len(names) + perRow - 1) / perRow
	p := begin(id, cell*float64(min(max(len(names), 1), perRow))+10, float64(row*max(rows, 1)+8), "Legend", "How the series are drawn.")
	for i, n := range names {
		x, y := float64(8+cell*(i%perRow)), float64(15+row*(i/perRow))
		p.path(fmt.Sprintf("curve s%d", i%Series), fmt.Sprintf("M%s %sh28", num(x), num(y)))
		p.b.WriteString(marker(i, x+14, y))
		p.text(x+36, y+4, "", "value", n)
	}
	return p.end()
}
