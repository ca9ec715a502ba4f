package measure

import (
	"cmp"
	"math"
	"slices"
)

// signedRank returns how probable it is that the differences lie as far above zero as they
// do, or farther, if they were as likely to lie below: Wilcoxon's signed-rank test,
// one-sided and exact, zeros left out, equal ones sharing their mean rank. It asks nothing
// of how the differences are distributed, so that one run that stalls for a second does
// not hide what all the others say. 1 without differences. ds is borrowed until return.
func signedRank(ds []float64) float64 {
	nonzero := slices.DeleteFunc(slices.Clone(ds), func(d float64) bool { return d == 0 })
	slices.SortFunc(nonzero, func(a, b float64) int { return cmp.Compare(math.Abs(a), math.Abs(b)) })
	n := len(nonzero)
	// Ranks count double, so that mean ranks are whole.
	observed := 0
	chance := make([]float64, n*(n+1)+1) // of each sum of ranks
	chance[0] = 1
	for first := 0; first < n; {
		last := first
		for last+1 < n && math.Abs(nonzero[last+1]) == math.Abs(nonzero[first]) {
			last++
		}
		rank := first + 1 + last + 1
		for _, d := range nonzero[first : last+1] {
			if d > 0 {
				observed += rank
			}
			for sum := len(chance) - 1; sum >= 0; sum-- {
				chance[sum] /= 2
				if sum >= rank {
					chance[sum] += chance[sum-rank] / 2
				}
			}
		}
		first = last + 1
	}
	p := 0.0
	for _, c := range chance[observed:] {
		p += c
	}
	return p
}
