package link

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// Distribution is how the delay spreads around or above Settings.Delay.
type Distribution uint8

const (
	// Normal adds a normal distribution with mean 0 whose standard deviation is
	// Jitter, cut off at three of them.
	Normal Distribution = iota
	// Uniform adds between -Jitter and +Jitter.
	Uniform
	// Pareto only adds: a Lomax distribution (Pareto type II) of shape 3 whose mean is
	// Jitter, cut off at 20 times that. A twentieth of the values exceed 3.4 times
	// Jitter, a hundredth 7.3 times: the long tail of shared radio and of queues
	// elsewhere.
	Pareto
)

const (
	normalCut   = 3
	paretoShape = 3
	paretoCut   = 20
)

var distributions = [...]string{Normal: "normal", Uniform: "uniform", Pareto: "pareto"}

func (d Distribution) valid() bool { return int(d) < len(distributions) }

// String returns normal, uniform or pareto.
func (d Distribution) String() string {
	if d.valid() {
		return distributions[d]
	}
	return fmt.Sprintf("distribution %d", uint8(d))
}

// ParseDistribution is the inverse of String.
func ParseDistribution(s string) (Distribution, error) {
	for i, name := range distributions {
		if s == name {
			return Distribution(i), nil
		}
	}
	return 0, fmt.Errorf("%q is no distribution: one of %s", s, strings.Join(distributions[:], ", "))
}

// below returns how far d reaches below the delay.
func (d Distribution) below(jitter time.Duration) time.Duration {
	switch d {
	case Uniform:
		return jitter
	case Normal:
		return normalCut * jitter
	}
	return 0
}

// above returns how far d reaches above the delay.
func (d Distribution) above(jitter time.Duration) time.Duration {
	switch d {
	case Uniform:
		return jitter
	case Normal:
		return normalCut * jitter
	}
	return paretoCut * jitter
}

// at returns the u-th quantile of d, 0 < u < 1.
func (d Distribution) at(u float64, jitter time.Duration) time.Duration {
	var x float64
	switch d {
	case Uniform:
		x = 2*u - 1
	case Normal:
		x = max(-normalCut, min(normalCut, math.Sqrt2*math.Erfinv(2*u-1)))
	case Pareto:
		const scale = paretoShape - 1 // for a mean of 1
		x = min(paretoCut, scale*(math.Pow(1-u, -1.0/paretoShape)-1))
	}
	return time.Duration(math.Round(x * float64(jitter)))
}
