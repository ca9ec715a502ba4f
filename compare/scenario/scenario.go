package scenario

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"strait/compare/link"
	near "strait/internal/nearest"
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

// UnknownError says that the catalogue lacks a name.
type UnknownError struct {
	Name    string
	Nearest string // "" if none is near
}

func (e *UnknownError) Error() string {
	if e.Nearest != "" {
		return fmt.Sprintf("there is no scenario %q; did you mean %s?", e.Name, e.Nearest)
	}
	return fmt.Sprintf("there is no scenario %q; there are %s", e.Name, strings.Join(Names(), ", "))
}

// Lookup returns a scenario of the catalogue by its name; it is the caller's.
func Lookup(name string) (Scenario, error) {
	for _, s := range catalogue {
		if s.Name == name {
			return s.clone(), nil
		}
	}
	return Scenario{}, &UnknownError{Name: name, Nearest: nearest(name, Names())}
}

// nearest returns the candidate that name may have been meant to be: one of which it is
// a part at the beginning or the end, or few slips away; "" if there is none.
func nearest(name string, candidates []string) string {
	name = strings.ToLower(name)
	best := near.To(name, candidates, (len(name)+1)/3)
	if best != "" || len(name) < 2 {
		return best
	}
	for _, c := range candidates {
		if strings.HasPrefix(c, name) || strings.HasSuffix(c, name) {
			return c
		}
	}
	return ""
}
