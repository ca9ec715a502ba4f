package plot

import (
	"fmt"
	"strings"
)

// Series is the number of distinguishable series; the ninth looks like the first.
const Series = 8

// Colour is one colour of the style, in the light and the dark scheme.
type Colour struct{ Name, Light, Dark string }

// Colours are the custom properties that CSS defines. Text on surface has a contrast
// of at least 4.5, series on it at least 3 (WCAG 2.2, 1.4.3 and 1.4.11).
var Colours = []Colour{
	{"surface", "#ffffff", "#15191e"},
	{"plane", "#f5f6f8", "#0d1013"},
	{"ink", "#14181d", "#eef1f4"},
	{"soft", "#515b66", "#a9b3be"},
	{"line", "#d5dae0", "#343c45"},
	{"accent", "#1f5fae", "#7db5f5"},
	{"s0", "#2a6fc9", "#5a9cf0"},
	{"s1", "#d2551f", "#f0834f"},
	{"s2", "#0c8a5f", "#2fbf8d"},
	{"s3", "#9a6a00", "#d9a12b"},
	{"s4", "#c03f80", "#ec7fb4"},
	{"s5", "#3d7a17", "#86bf5a"},
	{"s6", "#5b46c2", "#a899f5"},
	{"s7", "#6b5a4e", "#c4b2a4"},
	{"h0", "#e3eefb", "#173a63"},
	{"h1", "#c4dbf5", "#1d4a80"},
	{"h2", "#fbe7c6", "#5c4312"},
	{"h3", "#f8cfa6", "#75431a"},
	{"h4", "#f3b0a0", "#7d2f24"},
	{"none", "#e7eaee", "#262d34"},
}

// Steps is the number of steps that a heat map has, from good to bad.
const Steps = 5

// dashes of the series, beside their colours.
var dashes = [Series]string{"", "6 3", "2 2.5", "9 3 2 3", "", "6 3", "2 2.5", "9 3 2 3"}

// CSS is the style sheet of all pictures. The custom properties serve the page too.
func CSS() string {
	var b strings.Builder
	for _, dark := range []bool{false, true} {
		open, end := ":root{", "}\n"
		if dark {
			open, end = "@media (prefers-color-scheme:dark){:root{", "}}\n"
		}
		b.WriteString(open)
		for _, c := range Colours {
			v := c.Light
			if dark {
				v = c.Dark
			}
			fmt.Fprintf(&b, "--%s:%s;", c.Name, v)
		}
		b.WriteString(end)
	}
	b.WriteString(`.plot text{font:11.5px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;fill:var(--soft)}
.plot .name{font-size:13px;font-weight:600;fill:var(--ink)}
.plot .value{fill:var(--ink)}
.plot .grid{stroke:var(--line);stroke-width:1;fill:none}
.plot .axis{stroke:var(--soft);stroke-width:1;fill:none}
.plot .curve{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
.plot .span{fill:var(--soft);opacity:.16}
.plot .bound{stroke:var(--ink);stroke-width:1.5;fill:none}
.plot .back{fill:var(--surface)}
`)
	for i := range Series {
		fmt.Fprintf(&b, ".plot .s%d{stroke:var(--s%d)}.plot .f%d{fill:var(--s%d);stroke:var(--surface);stroke-width:1}", i, i, i, i)
		if dashes[i] != "" {
			fmt.Fprintf(&b, ".plot .s%d{stroke-dasharray:%s}", i, dashes[i])
		}
		b.WriteByte('\n')
	}
	for i := range Steps {
		fmt.Fprintf(&b, ".plot .h%d{fill:var(--h%d)}", i, i)
	}
	b.WriteString(".plot .hx{fill:var(--none)}\n")
	return b.String()
}

// Standalone makes a picture a file of its own: with the style sheet inside.
func Standalone(svg string) string {
	open, rest, _ := strings.Cut(svg, ">")
	return open + ">\n<style>" + CSS() + "</style>" + rest
}

// Key is the small picture of series i for a legend in a page.
func Key(i int) string {
	i %= Series
	return fmt.Sprintf(`<svg class="plot key" width="30" height="12" viewBox="0 0 30 12" aria-hidden="true"><path class="curve s%d" d="M1 6H29"/>%s</svg>`, i, marker(i, 15, 6))
}
