// Package nearest finds the name that a mistyped one was meant to be. It owns the search
// and what is said of a name that a catalogue lacks; the catalogues are the callers'.
//
//  1. [Lookup] finds an entry of a catalogue, or says in an [*UnknownError] which name is
//     the nearest, or which ones there are.
//  2. [Name] and [To] are for those who look up by themselves.
package nearest

// To returns the candidate that is the fewest slips away from name, at most slips; the
// first of those that are equally near, "" if there is none.
func To(name string, candidates []string, slips int) (best string) {
	for _, c := range candidates {
		if d := Slips(name, c); d <= slips {
			best, slips = c, d-1
		}
	}
	return best
}

// Slips counts the insertions, deletions, substitutions and swaps of neighbours that
// turn a into b (optimal string alignment).
func Slips(a, b string) int {
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
