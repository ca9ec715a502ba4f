package report_test

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/compare/report"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(path, got, 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err, "run the test with -update")
	if !bytes.Equal(want, got) {
		a, b := strings.Split(string(want), "\n"), strings.Split(string(got), "\n")
		for i := range min(len(a), len(b)) {
			require.Equal(t, a[i], b[i], "%s, line %d; -update accepts it", name, i+1)
		}
		require.Equal(t, len(a), len(b), "lines of %s", name)
	}
}

// small is a report of every kind of result: a winner, a tie, a failure, a run that
// does not count.
func small(t *testing.T) *report.Report {
	t.Helper()
	r := sample(t, []network{networks[0], networks[4], networks[10], networks[11]}, []carrier{carriers[0], carriers[1], carriers[3], carriers[5]}, 3, 6)
	r.Runs[5].Invalid = []string{"the emulator was 12 ms late"}
	r.Notes = []string{"made up for tests <b>&</b>"}
	require.NoError(t, r.Finish())
	return r
}

// Equal input gives equal output, which is as it was.
func TestGolden(t *testing.T) {
	var html bytes.Buffer
	page := small(t).Page()
	require.NoError(t, page.HTML(&html))
	golden(t, "small.html", html.Bytes())
	golden(t, "small.txt", []byte(page.Text(100)))
	md, files := page.Markdown("small")
	golden(t, "small.md", []byte(md))
	golden(t, "heat.svg", []byte(files["heat.svg"]))
	golden(t, "wifi-bad-snapshots.svg", []byte(files["wifi-bad-snapshots.svg"]))
	for name := range files {
		assert.Contains(t, md, "(small/"+name+")")
	}
}

func TestJSONRoundTrip(t *testing.T) {
	r := small(t)
	var b bytes.Buffer
	require.NoError(t, r.JSON(&b))
	first := bytes.Clone(b.Bytes())
	back, err := report.Parse(&b)
	require.NoError(t, err)
	var again bytes.Buffer
	require.NoError(t, back.JSON(&again))
	assert.Equal(t, string(first), again.String())
	var one, two bytes.Buffer
	require.NoError(t, r.Page().HTML(&one))
	require.NoError(t, back.Page().HTML(&two))
	assert.Equal(t, one.String(), two.String(), "the record holds everything")

	for want, in := range map[string]string{"schema": `{"schema":"strait-compare/99"}`, "unexpected EOF": `{`, "compares nothing": `{"schema":"strait-compare/1"}`} {
		_, err := report.Parse(strings.NewReader(in))
		assert.ErrorContains(t, err, want)
	}
}

// The file needs nothing but itself.
func TestHTMLIsSelfContained(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, small(t).Page().HTML(&b))
	html := b.String()
	for _, m := range regexp.MustCompile(`(?:src|href)="([^"]*)"|url\(|@import|https?://[^"]*`).FindAllStringSubmatch(html, -1) {
		if m[0] == "http://www.w3.org/2000/svg" {
			continue // the name of a namespace
		}
		assert.Regexp(t, `^(#.*|data:,)$`, m[1], m[0])
	}
	assert.NotContains(t, html, "<b>&</b>", "what is text stays text")
	assert.NotContains(t, html, "ZgotmplZ")
	assert.NotContains(t, html, "NaN")
	ids := regexp.MustCompile(` id="([^"]*)"`).FindAllStringSubmatch(html, -1)
	seen := make(map[string]bool)
	for _, m := range ids {
		assert.False(t, seen[m[1]], "id %s twice", m[1])
		seen[m[1]] = true
	}
	for _, table := range regexp.MustCompile(`(?s)<table.*?</table>`).FindAllString(html, -1) {
		assert.Contains(t, table, "<caption")
		assert.Contains(t, table, `<th scope="col">`)
		assert.Contains(t, table, `<th scope="row">`)
	}
	assert.Equal(t, strings.Count(html, `role="img"`), strings.Count(html, "<desc "))
}

func TestTextFitsTheTerminal(t *testing.T) {
	page := small(t).Page()
	for _, width := range []int{80, 100, 140} {
		for line := range strings.Lines(page.Text(width)) {
			if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > width {
				assert.Equal(t, 1, len(strings.Fields(line)), "%d columns: %s", n, line)
			}
		}
	}
}

func TestSave(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "report.json")
	write := func(s string, err error) func(io.Writer) error {
		return func(w io.Writer) error {
			_, _ = io.WriteString(w, s)
			return err
		}
	}
	files := func() (out []string) {
		entries, err := os.ReadDir(dir)
		require.NoError(t, err)
		for _, e := range entries {
			out = append(out, e.Name())
		}
		return out
	}
	broken := errors.New("out of figures")
	err := report.Save(name, write("half", broken))
	require.ErrorIs(t, err, broken)
	require.ErrorContains(t, err, name)
	require.Empty(t, files(), "no part of a file is left")

	require.NoError(t, report.Save(name, write("whole", nil)))
	require.ErrorIs(t, report.Save(name, write("half", broken)), broken)
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, "whole", string(b), "what was there stays")
	require.Equal(t, []string{"report.json"}, files())

	err = report.Save(filepath.Join(dir, "no such folder", "report.html"), write("", nil))
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, "cannot be written")
	require.Error(t, report.Save(dir, write("x", nil)), "a folder is no file")
	require.Equal(t, []string{"report.json"}, files())
}

func TestSaveMarkdown(t *testing.T) {
	dir := t.TempDir()
	r := small(t)
	require.NoError(t, r.SaveMarkdown(filepath.Join(dir, "result.md")))
	text, err := os.ReadFile(filepath.Join(dir, "result.md"))
	require.NoError(t, err)
	links := regexp.MustCompile(`\]\((result/[^)]+)\)`).FindAllStringSubmatch(string(text), -1)
	require.NotEmpty(t, links)
	for _, l := range links {
		assert.FileExists(t, filepath.Join(dir, l[1]))
	}
	require.Error(t, r.SaveMarkdown(filepath.Join(dir, "result.md", "below a file.md")))
}
