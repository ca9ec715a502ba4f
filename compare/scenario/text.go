package scenario

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"strait/compare/link"
)

const (
	// maxText bounds a file of settings, in bytes.
	maxText = 64 << 10
	keyBase = "base"
)

// ParseError is what is wrong with one line of a file, or with the file.
type ParseError struct {
	File string
	Line int // from 1; 0 for the file
	Err  error
}

func (e *ParseError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %v", e.File, e.Err)
	}
	return fmt.Sprintf("%s:%d: %v", e.File, e.Line, e.Err)
}

func (e *ParseError) Unwrap() error { return e.Err }

// Parse reads a scenario in its text form and validates it: one setting a line, as
// [Scenario.Set] takes them, with an equals sign between; empty lines and those that
// begin with # count for nothing. A first setting base names the scenario of the
// catalogue to start from. Every line that is wrong is a [*ParseError], joined as
// [errors.Join] does; file is for them alone.
func Parse(file string, r io.Reader) (Scenario, error) {
	p := parser{file: file, lines: make(map[string]int)}
	in := bufio.NewScanner(io.LimitReader(r, maxText+1))
	in.Buffer(nil, maxText+1)
	size := 0
	for in.Scan() {
		p.line++
		if size += len(in.Bytes()) + 1; size > maxText {
			return Scenario{}, &ParseError{File: file, Err: fmt.Errorf("it is longer than %d bytes, which no scenario is", maxText)}
		}
		if err := p.setting(strings.TrimSpace(in.Text())); err != nil {
			p.errs = append(p.errs, &ParseError{File: file, Line: p.line, Err: err})
		}
	}
	if err := in.Err(); err != nil {
		return Scenario{}, &ParseError{File: file, Err: err}
	}
	p.validate()
	if len(p.errs) > 0 {
		return Scenario{}, errors.Join(p.errs...)
	}
	return p.scenario, nil
}

type parser struct {
	file     string
	line     int
	scenario Scenario
	lines    map[string]int // where each key stands, of both directions for each
	errs     []error
}

func (p *parser) setting(text string) error {
	if text == "" || text[0] == '#' {
		return nil
	}
	key, value, ok := strings.Cut(text, "=")
	key, value = strings.TrimSpace(key), strings.TrimSpace(value)
	switch {
	case !ok:
		return fmt.Errorf("%q has no equals sign: a setting is written as delay = 30ms", text)
	case value == "":
		return fmt.Errorf("%s has no value: leave the line out for the default", key)
	}
	if key == keyBase && len(p.lines) > 0 {
		return errors.New("base comes first, before the settings that change it")
	}
	for _, k := range spread(key) {
		if at := p.lines[k]; at > 0 && !slices.Contains([]string{keySource, keyBlackout, keyAddress}, k) {
			return fmt.Errorf("%s is set already, in line %d", k, at)
		}
		p.lines[k] = p.line
	}
	if key != keyBase {
		return p.scenario.Set(key, value)
	}
	base, err := Lookup(value)
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	// A name and a description of its own, or none: it is not that scenario any more.
	base.Name, base.About = "", ""
	p.scenario = base
	return nil
}

// spread returns what a key sets: one of both directions is one of each.
func spread(key string) []string {
	for _, s := range settings {
		if s.name == key {
			return []string{"up." + key, "down." + key}
		}
	}
	return []string{key}
}

// validate finds the line of each problem, if it has one.
func (p *parser) validate() {
	all := []error{p.scenario.Validate()}
	for len(all) > 0 {
		err := all[0]
		all = all[1:]
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			all = append(joined.Unwrap(), all...)
			continue
		}
		if err == nil {
			continue
		}
		line := 0
		var problem *link.Problem
		if errors.As(err, &problem) {
			line = p.lines[problem.Setting]
		}
		p.errs = append(p.errs, &ParseError{File: p.file, Line: line, Err: err})
	}
}

// pairs returns what String prints: keys and values.
func (s Scenario) pairs() (out [][2]string) {
	add := func(key, value string) {
		if value != "" {
			out = append(out, [2]string{key, value})
		}
	}
	add(keyName, s.Name)
	add(keyAbout, s.About)
	for _, source := range s.Sources {
		add(keySource, source)
	}
	for _, setting := range settings {
		up, down := setting.get(&s.Link.Up), setting.get(&s.Link.Down)
		if up == down {
			add(setting.name, up)
			continue
		}
		add("up."+setting.name, up)
		add("down."+setting.name, down)
	}
	for _, b := range s.Link.Blackouts {
		add(keyBlackout, formatBlackout(b))
	}
	for _, at := range s.Link.AddressChanges {
		add(keyAddress, at.String())
	}
	if s.Link.BlockUDP {
		add(keyBlockUDP, "yes")
	}
	return out
}

// String returns the text form, which Parse reads.
func (s Scenario) String() string {
	var b strings.Builder
	for _, p := range s.pairs() {
		b.WriteString(p[0] + " = " + p[1] + "\n")
	}
	return b.String()
}

// MarshalJSON returns the figures as String writes them, by direction.
func (s Scenario) MarshalJSON() ([]byte, error) {
	of := func(d link.Settings) map[string]string {
		out := make(map[string]string)
		for _, setting := range settings {
			if v := setting.get(&d); v != "" {
				out[setting.name] = v
			}
		}
		return out
	}
	var blackouts, changes []string
	for _, b := range s.Link.Blackouts {
		blackouts = append(blackouts, formatBlackout(b))
	}
	for _, at := range s.Link.AddressChanges {
		changes = append(changes, at.String())
	}
	return json.Marshal(struct {
		Name           string            `json:"name"`
		About          string            `json:"about,omitempty"`
		Sources        []string          `json:"sources,omitempty"`
		RTT            string            `json:"rtt"`
		Up             map[string]string `json:"up"`
		Down           map[string]string `json:"down"`
		Blackouts      []string          `json:"blackouts,omitempty"`
		AddressChanges []string          `json:"address_changes,omitempty"`
		BlockUDP       bool              `json:"block_udp,omitempty"`
	}{s.Name, s.About, s.Sources, s.RTT().String(), of(s.Link.Up), of(s.Link.Down), blackouts, changes, s.Link.BlockUDP})
}
