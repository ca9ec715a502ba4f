package configs

import (
	"fmt"
	"log/slog"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// Where a value comes from.
const (
	FromDefault     = "default"
	FromEnvironment = "environment"
)

// Value is a setting as the gateway uses it.
type Value struct {
	Name   string `json:"name"`
	Value  string `json:"value"`  // as it would be written in the environment
	Source string `json:"source"` // FromDefault or FromEnvironment
	Note   string `json:"note,omitempty"`
	Doc    string `json:"doc"`
}

// Values returns every setting in the order of the reference. Nothing in it is
// secret: files are named, their contents are not shown, and a backend's URL that
// carries a password is refused by [Load].
func (c *Config) Values() []Value {
	byKey := fields(c)
	var out []Value
	for _, v := range variables() {
		value := Value{Name: v.name(), Value: text(byKey[v.key]), Source: FromDefault, Note: c.notes[v.name()], Doc: v.doc}
		if c.given[v.name()] {
			value.Source = FromEnvironment
		}
		switch {
		case v.name() == nameShards && c.Gateway.Shards == 0:
			value.Note = fmt.Sprintf("%d, GOMAXPROCS", runtime.GOMAXPROCS(0))
		case v.name() == nameNode && c.Fleet.NodeID == "":
			value.Note = c.Fleet.Node() + ", the host's name"
		case v.name() == nameBufferBudget && c.Gateway.BufferBudget == 0:
			n, basis := c.BufferBudget()
			value.Note = fmt.Sprintf("%d, %s", n, basis)
		}
		out = append(out, value)
	}
	return out
}

// text writes a field's value as it would stand in the environment.
func text(v reflect.Value) string {
	switch v := v.Interface().(type) {
	case slog.Level:
		return strings.ToLower(v.String())
	case time.Duration:
		return shortDuration(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case fmt.Stringer:
		return v.String()
	default:
		return fmt.Sprint(v)
	}
}
