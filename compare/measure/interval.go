package measure

import (
	"math"
)

// Confidence of the intervals of an Estimate.
const Confidence = 0.95

// Estimate is a mean over repetitions with its two-sided Student t interval.
type Estimate struct {
	Mean float64 `json:"mean"`
	// Low and High bound the interval; both are nil with fewer than two repetitions,
	// which tell nothing about the spread.
	Low  *float64 `json:"low,omitempty"`
	High *float64 `json:"high,omitempty"`
	N    int      `json:"n"` // repetitions
}

// EstimateOf returns the estimate at a confidence between 0 and 1, and false
// without values. vs is borrowed until return.
func EstimateOf(vs []float64, confidence float64) (Estimate, bool) {
	if len(vs) == 0 {
		return Estimate{}, false
	}
	mean, square := meanAndSquare(vs)
	e := Estimate{Mean: mean, N: len(vs)}
	if len(vs) < 2 {
		return e, true
	}
	e.bound(confidence, square, float64(len(vs)-1))
	return e, true
}

// welch estimates the mean of b less that of a, whose variances may differ.
func welch(a, b []float64, confidence float64) (Estimate, bool) {
	if len(a) == 0 || len(b) == 0 {
		return Estimate{}, false
	}
	ma, sa := meanAndSquare(a)
	mb, sb := meanAndSquare(b)
	e := Estimate{Mean: mb - ma, N: min(len(a), len(b))}
	if e.N < 2 {
		return e, true
	}
	na, nb := float64(len(a)), float64(len(b))
	df := na + nb - 2
	if sa+sb > 0 { // Welch-Satterthwaite
		df = (sa + sb) * (sa + sb) / (sa*sa/(na-1) + sb*sb/(nb-1))
	}
	e.bound(confidence, sa+sb, df)
	return e, true
}

// meanAndSquare returns the mean and the square of its standard error, which is NaN
// for one value.
func meanAndSquare(vs []float64) (mean, square float64) {
	n := float64(len(vs))
	for _, v := range vs {
		mean += v / n
	}
	for _, v := range vs {
		square += (v - mean) * (v - mean)
	}
	return mean, square / (n - 1) / n
}

// bound sets the interval from the square of the standard error.
func (e *Estimate) bound(confidence, square, df float64) {
	half := tQuantile(1-(1-confidence)/2, df) * math.Sqrt(square)
	low, high := e.Mean-half, e.Mean+half
	e.Low, e.High = &low, &high
}

// Half is half the interval's width; NaN without an interval.
func (e Estimate) Half() float64 {
	if e.Low == nil || e.High == nil {
		return math.NaN()
	}
	return (*e.High - *e.Low) / 2
}

// tQuantile is the inverse of Student's distribution function with df degrees of
// freedom, for p above 0.5.
func tQuantile(p, df float64) float64 {
	low, high := 0.0, 1.0
	for tCDF(high, df) < p && high < 1e12 {
		high *= 2
	}
	for {
		mid := (low + high) / 2
		if mid <= low || mid >= high { // no number is between them
			return mid
		}
		if tCDF(mid, df) < p {
			low = mid
		} else {
			high = mid
		}
	}
}

// tCDF is Student's distribution function for t of 0 and above.
func tCDF(t, df float64) float64 {
	return 1 - betaRegularized(df/(df+t*t), df/2, 0.5)/2
}

// betaRegularized is the regularized incomplete beta function I_x(a, b), by its
// continued fraction (Numerical Recipes 6.4, Lentz's method).
func betaRegularized(x, a, b float64) float64 {
	if x <= 0 {
		return 0
	}
	if x >= 1 {
		return 1
	}
	la, _ := math.Lgamma(a)
	lb, _ := math.Lgamma(b)
	lab, _ := math.Lgamma(a + b)
	front := math.Exp(lab - la - lb + a*math.Log(x) + b*math.Log1p(-x))
	if x < (a+1)/(a+b+2) {
		return front * betaFraction(x, a, b) / a
	}
	return 1 - front*betaFraction(1-x, b, a)/b
}

func betaFraction(x, a, b float64) float64 {
	const tiny = 1e-300
	away := func(v float64) float64 {
		if math.Abs(v) < tiny {
			return tiny
		}
		return v
	}
	c := 1.0
	d := 1 / away(1-(a+b)*x/(a+1))
	h := d
	for m := 1.0; m <= 500; m++ {
		even := m * (b - m) * x / ((a + 2*m - 1) * (a + 2*m))
		d = 1 / away(1+even*d)
		c = away(1 + even/c)
		h *= d * c
		odd := -(a + m) * (a + b + m) * x / ((a + 2*m) * (a + 2*m + 1))
		d = 1 / away(1+odd*d)
		c = away(1 + odd/c)
		h *= d * c
		if math.Abs(d*c-1) < 1e-15 {
			break
		}
	}
	return h
}

// round keeps digits behind the point, so that JSON stays short.
func round(v float64, digits int) float64 {
	p := math.Pow(10, float64(digits))
	return math.Round(v*p) / p
}
