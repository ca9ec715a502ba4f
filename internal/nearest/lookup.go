package nearest

import (
	"fmt"
	"strings"
)

// UnknownError says that a catalogue lacks a name.
type UnknownError struct {
	Kind    string // what the catalogue has: "transport"
	Name    string
	Nearest string // "" if none is near
	Known   []string
}

func (e *UnknownError) Error() string {
	if e.Nearest != "" {
		return fmt.Sprintf("there is no %s %q; did you mean %s?", e.Kind, e.Name, e.Nearest)
	}
	return fmt.Sprintf("there is no %s %q; there are %s", e.Kind, e.Name, strings.Join(e.Known, ", "))
}

// Lookup returns the first of a catalogue of kind whose name is name; the error of an
// unknown one is an [*UnknownError]. catalogue is borrowed until return.
func Lookup[T any](kind, name string, catalogue []T, nameOf func(T) string) (found T, err error) {
	names := make([]string, len(catalogue))
	for i, c := range catalogue {
		if names[i] = nameOf(c); names[i] == name {
			return c, nil
		}
	}
	return found, &UnknownError{Kind: kind, Name: name, Nearest: Name(name, names), Known: names}
}

// Name returns the candidate that name may have been meant to be, whatever its case: one
// that is few slips away, or of which it is a part at the beginning or the end; "" if there
// is none.
func Name(name string, candidates []string) string {
	name = strings.ToLower(name)
	best := To(name, candidates, (len(name)+1)/3)
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
