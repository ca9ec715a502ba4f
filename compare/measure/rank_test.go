package measure

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// The probabilities are those of tables of the signed-rank distribution: 1/2^n for the
// largest sum, and so on.
func TestSignedRank(t *testing.T) {
	for name, c := range map[string]struct {
		ds   []float64
		want float64
	}{
		"nothing":                           {nil, 1},
		"no difference":                     {[]float64{0, 0, 0}, 1},
		"one":                               {[]float64{5}, 0.5},
		"all of five":                       {[]float64{1, 2, 3, 4, 5}, 1.0 / 32},
		"all of eight, one of them a stall": {[]float64{16, 68, 786, 7, 3, 12, 20, 9}, 1.0 / 256},
		"the least below":                   {[]float64{-1, 2, 3, 4, 5}, 2.0 / 32},
		"sum 41 of 45":                      {[]float64{1, 2, 3, -4, 5, 6, 7, 8, 9}, 7.0 / 512},
		"all below":                         {[]float64{-1, -2, -3}, 1},
		"zeros are left out":                {[]float64{0, 1, 2, 3, 0}, 1.0 / 8},
		"ties share their mean rank":        {[]float64{2, 2, -2}, 4.0 / 8},
	} {
		assert.InDelta(t, c.want, signedRank(c.ds), 1e-12, name)
	}
}
