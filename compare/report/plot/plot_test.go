package plot_test

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/compare/report/plot"
)

// luminance is WCAG's, of #rrggbb.
func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	var l float64
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, err := strconv.ParseUint(hex[1+2*i:3+2*i], 16, 8)
		require.NoError(t, err)
		c := float64(n) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		l += weight * c
	}
	return l
}

func contrast(t *testing.T, a, b string) float64 {
	la, lb := luminance(t, a), luminance(t, b)
	return (max(la, lb) + 0.05) / (min(la, lb) + 0.05)
}

func TestContrast(t *testing.T) {
	colours := make(map[string]plot.Colour)
	for _, c := range plot.Colours {
		colours[c.Name] = c
	}
	check := func(front, back string, least float64) {
		f, b := colours[front], colours[back]
		require.NotEmpty(t, f.Light, front)
		require.NotEmpty(t, b.Light, back)
		assert.GreaterOrEqual(t, contrast(t, f.Light, b.Light), least, "%s on %s, light", front, back)
		assert.GreaterOrEqual(t, contrast(t, f.Dark, b.Dark), least, "%s on %s, dark", front, back)
	}
	for _, back := range []string{"surface", "plane"} {
		for _, front := range []string{"ink", "soft", "accent"} {
			check(front, back, 4.5)
		}
	}
	for i := range plot.Series {
		check("s"+strconv.Itoa(i), "surface", 3)
	}
	for i := range plot.Steps {
		check("ink", "h"+strconv.Itoa(i), 4.5)
	}
	check("ink", "none", 4.5)
}

// wellFormed parses an SVG and returns the text in it.
func wellFormed(t *testing.T, svg string) (text string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return text
		}
		require.NoError(t, err, svg)
		switch v := tok.(type) {
		case xml.CharData:
			text += string(v) + "|"
		case xml.StartElement:
			for _, a := range v.Attr {
				assert.NotContains(t, a.Value, "NaN", svg)
				assert.NotContains(t, a.Value, "Inf", svg)
			}
		}
	}
}

func TestLine(t *testing.T) {
	l := &plot.Line{
		ID: "x", Title: `<&"title`, Description: "what <there> is",
		X: plot.Axis{Name: "ms", Scale: plot.Log}, Y: plot.Axis{Name: "share", Scale: plot.Nines},
		Curves: []plot.Curve{
			{Name: "one & only", Points: []plot.Point{{1, 0}, {10, 0.9}, {100, 0.999}}},
			{Name: "broken", Look: 1, Points: []plot.Point{{1, 0}, {2, math.NaN()}, {3, 0.5}}},
		},
		Shades: []plot.Shade{{Name: "out", From: 2, To: 3}},
	}
	svg := l.SVG()
	text := wellFormed(t, svg)
	for _, want := range []string{`<&"title`, "what <there> is", "99.9 %", "one & only", "out", "|100|"} {
		assert.Contains(t, text, want)
	}
	assert.Equal(t, svg, l.SVG(), "deterministic")
	assert.Contains(t, svg, `d="M50 230L209 164L368 32"`, "three decades, and a scale of nines where 90 % stands at one third of 99.9 %")
	wellFormed(t, plot.Standalone(svg))
	assert.Contains(t, plot.Standalone(svg), "prefers-color-scheme:dark")
}

func TestPicturesOfNothing(t *testing.T) {
	assert.Contains(t, wellFormed(t, (&plot.Line{ID: "x"}).SVG()), "no valid run")
	wellFormed(t, (&plot.Line{ID: "x", X: plot.Axis{Scale: plot.Log}, Curves: []plot.Curve{{Points: []plot.Point{{0, 0}, {-1, 5}}}}}).SVG())
	wellFormed(t, (&plot.Line{ID: "x", Curves: []plot.Curve{{Points: []plot.Point{{3, 3}}}}}).SVG())
	wellFormed(t, (&plot.Bars{ID: "x"}).SVG())
	wellFormed(t, (&plot.Heat{ID: "x"}).SVG())
	wellFormed(t, plot.Legend("x", nil))
	wellFormed(t, plot.Key(11))
}

func TestBars(t *testing.T) {
	b := &plot.Bars{ID: "b", Title: "CPU", X: plot.Axis{Name: "µs"}, Bars: []plot.Bar{
		{Name: "a", Value: 5, Low: 4, High: 6, Text: "5 µs"},
		{Name: "b", Look: 1, Value: math.NaN(), Low: math.NaN(), High: math.NaN()},
	}}
	text := wellFormed(t, b.SVG())
	assert.Contains(t, text, "5 µs")
	assert.Contains(t, text, "not measured")
}

func TestMarks(t *testing.T) {
	l := &plot.Line{ID: "x", X: plot.Axis{Scale: plot.Log, Marks: []float64{64, 256, 1024}}, Curves: []plot.Curve{{Name: "a", Marked: true, Points: []plot.Point{{64, 1}, {256, 2}, {1024, 3}}}}}
	svg := l.SVG()
	text := wellFormed(t, svg)
	assert.Contains(t, text, "|64|256|1024|")
	assert.NotContains(t, text, "|100|")
	assert.Equal(t, 3, strings.Count(svg, "<circle"))
	assert.Contains(t, svg, `x="379" y="245" text-anchor="end">1024`, "no label sticks out")
}

func TestLongNamesAreCut(t *testing.T) {
	b := &plot.Bars{ID: "b", Bars: []plot.Bar{{Name: "strait STRAIT_TCP_LOOP=off", Value: 1, Text: "1"}}}
	text := wellFormed(t, b.SVG())
	assert.Contains(t, text, "|strait STRAIT_T…|")
	assert.Contains(t, text, "|strait STRAIT_TCP_LOOP=off: 1|")
}

func TestHeat(t *testing.T) {
	h := &plot.Heat{ID: "h", Title: "T", Columns: []string{"a", "b"}, Legend: [plot.Steps]string{"good", 4: "bad"},
		Rows: []plot.HeatRow{{Name: "lan", Cells: []plot.HeatCell{{Step: 0, Text: "12", Mark: "★", Label: "a in lan"}, {Step: -1, Text: "fails"}}}, {Name: "4g", Cells: []plot.HeatCell{{Step: 99, Text: "9"}, {}}}}}
	svg := h.SVG()
	text := wellFormed(t, svg)
	assert.Contains(t, text, "12 ★")
	assert.Contains(t, text, "a in lan")
	assert.Contains(t, svg, `class="hx"`)
	assert.Contains(t, svg, `class="h4"`)
}

func TestAxesAreRound(t *testing.T) {
	for high, want := range map[float64]string{
		1: "|0|0.2|0.4|0.6|0.8|1|", 7: "|0|2|4|6|8|", 33: "|0|10|20|30|40|", 450: "|0|100|200|300|400|500|", 120000: "|0|50k|100k|150k|",
	} {
		l := plot.Line{ID: "x", Y: plot.Axis{Scale: plot.Linear}, Curves: []plot.Curve{{Points: []plot.Point{{0, 0}, {1, high}}}}}
		assert.Contains(t, "|"+wellFormed(t, l.SVG()), want)
	}
}
