package configs

import "strings"

// nearest returns the candidate that name was most likely meant to be, or nothing.
// Letters missed, doubled or swapped come first, then a name that was cut short or
// carried on, then the only candidate that begins with the same word.
func nearest(name string, candidates []string) string {
	best, bestDistance := "", max(2, len(name)/4)+1
	for _, c := range candidates {
		if d := distance(name, c); d < bestDistance {
			best, bestDistance = c, d
		}
	}
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

// distance counts the insertions, deletions, substitutions and swaps of neighbours
// that turn a into b (optimal string alignment).
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
