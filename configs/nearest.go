package configs

import (
	"strings"

	near "strait/internal/nearest"
)

// nearest returns the candidate that name was most likely meant to be, or nothing.
// Letters missed, doubled or swapped come first, then a name that was cut short or
// carried on, then the only candidate that begins with the same word.
func nearest(name string, candidates []string) string {
	best := near.To(name, candidates, max(2, len(name)/4))
	if best != "" {
		return best
	}
	for _, c := range candidates {
		if strings.HasPrefix(c, name+"_") || strings.HasPrefix(name, c+"_") {
			return c
		}
	}
	word, _, _ := strings.Cut(name, "_")
	for _, c := range candidates {
		if first, _, _ := strings.Cut(c, "_"); first == word {
			if best != "" {
				return ""
			}
			best = c
		}
	}
	return best
}
