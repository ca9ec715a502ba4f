package scenario

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"strait/compare/link"
	"strait/internal/nearest"
)

// setting is one setting of a direction in its text form.
type setting struct {
	name string
	get  func(*link.Settings) string // "" for the zero value
	set  func(*link.Settings, string) error
}

func field[T comparable](name string, at func(*link.Settings) *T, format func(T) string, parse func(string) (T, error)) setting {
	return setting{
		name: name,
		get: func(s *link.Settings) string {
			var zero T
			if v := *at(s); v != zero {
				return format(v)
			}
			return ""
		},
		set: func(s *link.Settings, text string) error {
			v, err := parse(text)
			if err == nil {
				*at(s) = v
			}
			return err
		},
	}
}

func duration(name string, at func(*link.Settings) *time.Duration) setting {
	return field(name, at, time.Duration.String, parseDuration)
}

func share(name string, at func(*link.Settings) *float64) setting {
	return field(name, at, formatShare, parseShare)
}

// settings are those of a direction, in the order in which they are printed.
var settings = []setting{
	duration("delay", func(s *link.Settings) *time.Duration { return &s.Delay }),
	duration("jitter", func(s *link.Settings) *time.Duration { return &s.Jitter }),
	field("distribution", func(s *link.Settings) *link.Distribution { return &s.Distribution }, link.Distribution.String, link.ParseDistribution),
	duration("hold", func(s *link.Settings) *time.Duration { return &s.Hold }),
	share("loss", func(s *link.Settings) *float64 { return &s.Loss }),
	share("burst.p", func(s *link.Settings) *float64 { return &s.Burst.P }),
	share("burst.r", func(s *link.Settings) *float64 { return &s.Burst.R }),
	share("burst.good", func(s *link.Settings) *float64 { return &s.Burst.Good }),
	share("burst.bad", func(s *link.Settings) *float64 { return &s.Burst.Bad }),
	share("reorder", func(s *link.Settings) *float64 { return &s.Reorder }),
	duration("reorder-delay", func(s *link.Settings) *time.Duration { return &s.ReorderDelay }),
	share("duplicate", func(s *link.Settings) *float64 { return &s.Duplicate }),
	field("rate", func(s *link.Settings) *int64 { return &s.Rate }, formatRate, parseRate),
	field("queue", func(s *link.Settings) *int { return &s.Queue }, formatBytes, parseBytes),
}

// keys returns all that Set takes.
func keys() []string {
	out := []string{keyName, keyAbout, keySource, keyBlackout, keyAddress, keyBlockUDP}
	for _, s := range settings {
		out = append(out, s.name, "up."+s.name, "down."+s.name)
	}
	return out
}

const (
	keyName     = "name"
	keyAbout    = "about"
	keySource   = "source"
	keyBlackout = "blackout"
	keyAddress  = "address-change"
	keyBlockUDP = "block-udp"
	none        = "none"
)

// Set changes one setting from its text form: that of one direction as up.delay or
// down.delay, of both as delay; a share as 1.5%, a time as 30ms, a rate as 10Mbit, a
// queue as 256KiB. Further name, about, block-udp (yes or no), and those that add to a
// list: source, blackout (1s at 10s, or 100ms at 4s every 15s) and address-change (6s);
// none empties the list. It refuses what cannot be read; what is impossible is for
// Validate.
func (s *Scenario) Set(key, value string) error {
	value = strings.TrimSpace(value)
	if err := s.set(key, value); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}

func (s *Scenario) set(key, value string) error {
	switch key {
	case keyName:
		s.Name = value
		return nil
	case keyAbout:
		s.About = value
		return nil
	case keySource:
		return addTo(&s.Sources, value, func(text string) (string, error) { return text, nil })
	case keyBlackout:
		return addTo(&s.Link.Blackouts, value, parseBlackout)
	case keyAddress:
		return addTo(&s.Link.AddressChanges, value, parseDuration)
	case keyBlockUDP:
		if value != "yes" && value != "no" {
			return fmt.Errorf("%q is neither yes nor no", value)
		}
		s.Link.BlockUDP = value == "yes"
		return nil
	}
	directions := []*link.Settings{&s.Link.Up, &s.Link.Down}
	name := key
	if rest, ok := strings.CutPrefix(key, "up."); ok {
		name, directions = rest, directions[:1]
	} else if rest, ok := strings.CutPrefix(key, "down."); ok {
		name, directions = rest, directions[1:]
	}
	i := slices.IndexFunc(settings, func(s setting) bool { return s.name == name })
	if i < 0 {
		if near := nearest.Name(key, keys()); near != "" {
			return fmt.Errorf("there is no such setting; did you mean %s?", near)
		}
		return errors.New("there is no such setting")
	}
	for _, d := range directions {
		if err := settings[i].set(d, value); err != nil {
			return err
		}
	}
	return nil
}

func addTo[T any](list *[]T, text string, parse func(string) (T, error)) error {
	if text == none {
		*list = nil
		return nil
	}
	v, err := parse(text)
	if err == nil {
		*list = append(*list, v)
	}
	return err
}

func parseDuration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%q is no time: a number with a unit, as 30ms or 1.5s", text)
	}
	return d, nil
}

func parseShare(text string) (float64, error) {
	number, ok := strings.CutSuffix(text, "%")
	f, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if !ok || err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return 0, fmt.Errorf("%q is no share: a number in percent, as 1.5%%", text)
	}
	return f / 100, nil
}

func formatShare(f float64) string { return strconv.FormatFloat(f*100, 'g', 10, 64) + "%" }

type unit struct {
	name string
	size int64
}

var (
	rateUnits = []unit{{"Gbit", gbit}, {"Mbit", mbit}, {"kbit", kbit}, {"bit", 1}}
	byteUnits = []unit{{"MiB", kib * kib}, {"MB", mbit}, {"KiB", kib}, {"kB", kbit}, {"B", 1}}
)

func parseUnits(text string, units []unit) (int64, bool) {
	for _, u := range units {
		number, ok := strings.CutSuffix(strings.ToLower(text), strings.ToLower(u.name))
		if !ok {
			continue
		}
		f, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		f = math.Round(f * float64(u.size))
		// Beyond 2^53 not every number can be told from its neighbour.
		if err != nil || !(math.Abs(f) < 1<<53) {
			return 0, false
		}
		return int64(f), true
	}
	return 0, false
}

func formatUnits(n int64, units []unit) string {
	for _, u := range units {
		if n%u.size == 0 {
			return strconv.FormatInt(n/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}

func parseRate(text string) (int64, error) {
	n, ok := parseUnits(text, rateUnits)
	if !ok {
		return 0, fmt.Errorf("%q is no rate: a number with kbit, Mbit or Gbit (a second), as 10Mbit", text)
	}
	return n, nil
}

func formatRate(n int64) string { return formatUnits(n, rateUnits) }

func parseBytes(text string) (int, error) {
	n, ok := parseUnits(text, byteUnits)
	if !ok {
		return 0, fmt.Errorf("%q is no number of bytes: a number with B, kB, KiB, MB or MiB, as 256KiB", text)
	}
	return int(n), nil
}

func formatBytes(n int) string { return formatUnits(int64(n), byteUnits) }

func parseBlackout(text string) (b link.Blackout, err error) {
	words := strings.Fields(text)
	wrong := fmt.Errorf("%q is no blackout: how long and when, as 1s at 10s, or with a period, as 100ms at 4s every 15s", text)
	if len(words) != 3 && len(words) != 5 || words[1] != "at" || len(words) == 5 && words[3] != "every" {
		return link.Blackout{}, wrong
	}
	for i, at := range []*time.Duration{&b.For, &b.At, &b.Every}[:(len(words)+1)/2] {
		if *at, err = time.ParseDuration(words[2*i]); err != nil {
			return link.Blackout{}, wrong
		}
	}
	return b, nil
}

func formatBlackout(b link.Blackout) string {
	s := fmt.Sprintf("%v at %v", b.For, b.At)
	if b.Every > 0 {
		s += fmt.Sprintf(" every %v", b.Every)
	}
	return s
}
