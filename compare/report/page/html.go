package page

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"

	"strait/compare/report/plot"
)

//go:embed page.html
var source string

//go:embed page.css
var style string

//go:embed page.js
var script string

var tmpl = template.Must(template.New("page").Funcs(template.FuncMap{
	"svg":  func(p Picture) template.HTML { return template.HTML(p.SVG()) },
	"key":  func(look int) template.HTML { return template.HTML(plot.Key(look)) },
	"sign": Mark.sign,
	"word": Mark.word,
	"class": func(m Mark) string {
		return [...]string{"", "best", "tied", "bad"}[m]
	},
	"step": func(c plot.HeatCell) string {
		if c.Step < 0 {
			return "none"
		}
		return fmt.Sprintf("h%d", min(c.Step, plot.Steps-1))
	},
}).Parse(source))

// HTML writes the page as one file.
func (p *Page) HTML(w io.Writer) error {
	css := plot.CSS() + style
	return tmpl.Execute(w, struct {
		*Page
		Style  template.CSS
		Script template.JS
		Policy string
		Signs  string
	}{p, template.CSS(css), template.JS(script), policy(css), Signs})
}

// policy forbids everything but the page's own style and script.
func policy(css string) string {
	hash := func(s string) string {
		h := sha256.Sum256([]byte(s))
		return "'sha256-" + base64.StdEncoding.EncodeToString(h[:]) + "'"
	}
	return fmt.Sprintf("default-src 'none'; img-src data:; style-src %s; script-src %s; base-uri 'none'; form-action 'none'", hash(css), hash(script))
}
