package scenario_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/compare/scenario"
)

var update = flag.Bool("update", false, "write the catalogue into docs/transports.md anew")

// What stands between these lines is the catalogue's.
const (
	catalogueBegins = "<!-- catalogue: written by make docs from package compare/scenario -->\n"
	catalogueEnds   = "<!-- end of catalogue -->\n"
)

func TestDocumentationIsCurrent(t *testing.T) {
	name := filepath.Join("..", "..", "docs", "transports.md")
	page, err := os.ReadFile(name)
	require.NoError(t, err)
	before, rest, begins := strings.Cut(string(page), catalogueBegins)
	written, after, ends := strings.Cut(rest, catalogueEnds)
	require.True(t, begins && ends, "docs/transports.md lacks the lines between which the catalogue stands")
	want := "\n" + scenario.Markdown() + "\n"
	if *update && written != want {
		require.NoError(t, os.WriteFile(name, []byte(before+catalogueBegins+want+catalogueEnds+after), 0o644))
		return
	}
	if written != want {
		t.Error("the scenarios in docs/transports.md are not those of the catalogue: run make docs (go test ./compare/scenario -run TestDocumentationIsCurrent -update)")
	}
}

// A reader can tell what was measured from what was chosen.
func TestSourcesComeBeforeChoices(t *testing.T) {
	for _, s := range scenario.All() {
		for i, source := range s.Sources {
			if strings.HasPrefix(source, "Round choices: ") {
				assert.Equal(t, len(s.Sources)-1, i, s.Name)
			}
		}
		assert.False(t, strings.HasPrefix(s.Sources[0], "Round choices"), "%s has no source", s.Name)
	}
}
