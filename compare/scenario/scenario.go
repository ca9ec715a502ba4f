package scenario

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"strait/compare/link"
	"strait/internal/nearest"
)

// Scenario is a link with a name. Link.Seed belongs to a run and not to a scenario.
type Scenario struct {
	Name string
	// About says in one line whose link it is.
	About string
	// Sources are what the figures lie within: reports, papers and RFCs by name, each
	// with what was taken from it. Figures that none of them states are named last, as
	// round choices.
	Sources []string
	Link    link.Config
}

// RTT returns the round trip that an empty link has at least in the middle of its
// jitter: both delays, and with Pareto the mean that it adds.
func (s Scenario) RTT() time.Duration {
	rtt := s.Link.Up.Delay + s.Link.Down.Delay
	for _, d := range []link.Settings{s.Link.Up, s.Link.Down} {
		if d.Distribution == link.Pareto {
			rtt += d.Jitter
		}
	}
	return rtt
}

var names = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// Validate returns what is impossible in s, with what would be right.
func (s Scenario) Validate() error {
	var errs []error
	if !names.MatchString(s.Name) {
		errs = append(errs, fmt.Errorf("name is %q: small letters and digits, with single hyphens between", s.Name))
	}
	return errors.Join(append(errs, s.Link.Validate())...)
}

// clone returns a copy that shares nothing.
func (s Scenario) clone() Scenario {
	s.Sources = slices.Clone(s.Sources)
	s.Link.Blackouts = slices.Clone(s.Link.Blackouts)
	s.Link.AddressChanges = slices.Clone(s.Link.AddressChanges)
	return s
}

// All returns the catalogue, from the best link to the worst. It is the caller's.
func All() []Scenario {
	out := make([]Scenario, len(catalogue))
	for i, s := range catalogue {
		out[i] = s.clone()
	}
	return out
}

// Names returns the catalogue's names, in its order.
func Names() []string {
	out := make([]string, len(catalogue))
	for i, s := range catalogue {
		out[i] = s.Name
	}
	return out
}

// Lookup returns a scenario of the catalogue by its name; it is the caller's. The error of
// an unknown one is a [*nearest.UnknownError].
func Lookup(name string) (Scenario, error) {
	s, err := nearest.Lookup("scenario", name, catalogue, func(s Scenario) string { return s.Name })
	return s.clone(), err
}
