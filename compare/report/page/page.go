package page

import "strait/compare/report/plot"

// Page is a report.
type Page struct {
	Title    string
	Lead     []string // paragraphs
	Facts    []Fact   // on what the figures were taken
	Legend   []Series
	Sections []Section
}

// Fact is a name and its value.
type Fact struct{ Name, Value string }

// Series is one of what is compared, as pictures show it.
type Series struct {
	Name string
	Look int // of package plot
	Note string
}

// Section is a part of the page with a heading. Everything but ID and Title may be
// left out.
type Section struct {
	ID    string // unique, of letters, digits and dashes
	Title string
	Short string // in the list of sections; empty is Title
	Prose []string
	// Verdict stands out: what the section comes to.
	Verdict  []string
	List     []string
	Heat     *plot.Heat
	Pictures []Picture
	Tables   []Table
}

// Picture is a picture of package plot.
type Picture interface{ SVG() string }

// Table is a table with a head.
type Table struct {
	Caption string
	// Folded tables open on demand in HTML.
	Folded bool
	// Wordy tables have text in their cells, which wraps.
	Wordy   bool
	Columns []string // the first one is over the rows' names
	Rows    []Row
	Notes   []string
}

// Row is a line of a table.
type Row struct {
	Name  string
	Cells []Cell
}

// Mark says how a cell stands in its row.
type Mark uint8

const (
	Plain Mark = iota
	// Best is better than all others of the row, beyond doubt.
	Best
	// Tied cannot be told from the best.
	Tied
	// Bad is a failure.
	Bad
)

// Cell is one cell.
type Cell struct {
	Text string
	Mark Mark
}

// sign is what a mark looks like where there is no colour.
func (m Mark) sign() string {
	switch m {
	case Best:
		return "★"
	case Tied:
		return "≈"
	case Bad:
		return "✗"
	}
	return ""
}

// word is what a mark is read out as.
func (m Mark) word() string {
	switch m {
	case Best:
		return "best"
	case Tied:
		return "nothing is better beyond doubt"
	case Bad:
		return "fails"
	}
	return ""
}

// Signs explains the marks below a table.
const Signs = "★ better than every other in its row, beyond doubt · ≈ nothing is better beyond doubt · ✗ fails · – not measured"
