package report_test

import (
	"context"
	"html"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/compare/report"
	"strait/compare/report/page"
)

// view is a way to look at the page.
type view struct {
	name  string
	size  string
	flags []string
}

var views = []view{
	{"light", "1280,4000", nil},
	{"dark", "1280,4000", []string{"--force-dark-mode", "--blink-settings=preferredColorScheme=0"}},
	{"phone", "390,6000", nil},
}

// outside skips a test that starts a browser, unless STRAIT_TEST_OUTSIDE asks for it.
func outside(t *testing.T) {
	t.Helper()
	if os.Getenv("STRAIT_TEST_OUTSIDE") == "" {
		t.Skip("set STRAIT_TEST_OUTSIDE=1 to start a browser")
	}
}

// browser finds Chromium.
func browser(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	require.Fail(t, "no Chromium, and STRAIT_TEST_OUTSIDE is set")
	return ""
}

// chromium opens a page without a network and returns what it said on its console
// and its output.
func chromium(t *testing.T, page string, flags ...string) (console, out string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	args := append([]string{
		"--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-background-networking",
		"--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", "--user-data-dir=" + t.TempDir(),
	}, flags...)
	cmd := exec.CommandContext(ctx, browser(t), append(args, "file://"+page)...)
	var stderr, stdout strings.Builder
	cmd.Stderr, cmd.Stdout = &stderr, &stdout
	require.NoError(t, cmd.Run(), "%s", &stderr)
	for line := range strings.Lines(stderr.String()) {
		if strings.Contains(line, "CONSOLE") || strings.Contains(line, "Refused to") {
			console += line
		}
	}
	return console, stdout.String()
}

// The pages open in a browser, in light, dark and on a phone, without a word on the
// console. Pictures of them stay in STRAIT_TEST_SCREENSHOTS, if that is a folder.
func TestPageInABrowser(t *testing.T) {
	outside(t)
	r := sample(t, []network{networks[4], networks[10], networks[11]}, carriers, 4, 8)
	require.NoError(t, r.Finish())
	b := gridded(t, []int{64, 256, 1024}, []int{10, 200, 2000})
	for name, p := range map[string]*page.Page{"compare": r.Page(), "bench": b.Page("Beside others")} {
		t.Run(name, func(t *testing.T) { looksRight(t, name, p) })
	}
}

func looksRight(t *testing.T, name string, p *page.Page) {
	dir := t.TempDir()
	file := filepath.Join(dir, "report.html")
	require.NoError(t, report.Save(file, p.HTML))
	shots := os.Getenv("STRAIT_TEST_SCREENSHOTS")
	if shots == "" {
		shots = dir
	}
	for _, v := range views {
		t.Run(v.name, func(t *testing.T) {
			shot := filepath.Join(shots, name+"-"+v.name+".png")
			console, _ := chromium(t, file, append([]string{"--window-size=" + v.size, "--screenshot=" + shot}, v.flags...)...)
			assert.Empty(t, console)
			info, err := os.Stat(shot)
			require.NoError(t, err)
			assert.Greater(t, info.Size(), int64(20_000))
		})
	}
	t.Run("paper", func(t *testing.T) {
		pdf := filepath.Join(shots, name+"-paper.pdf")
		console, _ := chromium(t, file, "--print-to-pdf="+pdf)
		assert.Empty(t, console)
		assert.FileExists(t, pdf)
	})
	t.Run("width of a phone", func(t *testing.T) {
		assert.Equal(t, "390 of 390", measured(t, file, "document.documentElement.scrollWidth + ' of ' + innerWidth"), "nothing sticks out but what scrolls by itself")
	})
	t.Run("a series picked in the legend", func(t *testing.T) {
		const script = `(function () {
			document.querySelector('.legend button').click();
			return document.querySelectorAll('.series.on').length + ' ' + document.querySelectorAll('.legend button[aria-pressed=true]').length +
				' ' + document.body.className;
		})()`
		assert.Regexp(t, `^[1-9][0-9]* [1-9][0-9]* picked$`, measured(t, file, script))
	})
}

// A page that breaks its own policy is seen by the test.
func TestBrowserTestSeesErrors(t *testing.T) {
	outside(t)
	page := filepath.Join(t.TempDir(), "bad.html")
	require.NoError(t, os.WriteFile(page, []byte(`<!doctype html><script>throw new Error("planted")</script>`), 0o644))
	console, _ := chromium(t, page, "--screenshot="+page+".png")
	assert.Contains(t, console, "planted")
}

var policy = regexp.MustCompile(`<meta http-equiv="Content-Security-Policy"[^>]*>`)

// measured is what an expression comes to in the page on a phone. For that the copy
// that is opened loses its policy.
func measured(t *testing.T, page, expression string) string {
	t.Helper()
	b, err := os.ReadFile(page)
	require.NoError(t, err)
	text := policy.ReplaceAllString(string(b), "")
	text = strings.Replace(text, "</body>", "<script>parent.document.title = 'it is ' + ("+expression+") + '.'</script></body>", 1)
	// Chromium's windows are 500 wide at least; a frame is as narrow as it is told.
	text = `<!doctype html><title></title><iframe style="width:390px;height:2000px;border:0" srcdoc="` + html.EscapeString(text) + `"></iframe>`
	name := filepath.Join(t.TempDir(), "page.html")
	require.NoError(t, os.WriteFile(name, []byte(text), 0o644))
	console, dom := chromium(t, name, "--dump-dom")
	assert.Empty(t, console)
	_, rest, ok := strings.Cut(dom, "<title>it is ")
	require.True(t, ok)
	value, _, _ := strings.Cut(rest, ".</title>")
	return value
}
