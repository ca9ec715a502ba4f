package configs

import (
	"errors"
	"fmt"
	"maps"
	"math/bits"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caarlos0/env/v10"
)

// Load decodes and validates an environment in the form of [os.Environ]. The error
// is an [*Errors] with every problem there is. The notices tell what was left out or
// changed on purpose.
//
// Spaces around a value do not count, and a variable that is set to nothing has its
// default.
func Load(environ []string) (*Config, []Notice, error) {
	l := newLoader(environ)
	l.names()
	l.decode()
	l.rules()
	l.relations()
	if len(l.problems) > 0 {
		return nil, l.notices, &Errors{Problems: l.inOrder()}
	}
	l.settle()
	return l.config, l.notices, nil
}

// loader is one run of Load.
type loader struct {
	environ  map[string]string // the STRAIT_ variables that are set to something, by full name
	config   *Config
	table    map[string]variable // by full name
	problems map[string]*Problem // the first of each variable, by full name
	notices  []Notice
}

func newLoader(environ []string) *loader {
	l := &loader{
		environ:  make(map[string]string),
		config:   &Config{given: make(map[string]bool)},
		table:    make(map[string]variable),
		problems: make(map[string]*Problem),
	}
	for _, v := range variables() {
		l.table[v.name()] = v
	}
	for name, value := range env.ToMap(environ) {
		value = strings.TrimSpace(value)
		if !strings.HasPrefix(name, Prefix) {
			continue
		}
		if _, known := l.table[name]; known && value == "" {
			continue
		}
		l.environ[name] = value
	}
	return l
}

// injected are the variables that Kubernetes gives to every container beside a
// service named strait (kubelet's service environment and its Docker-links twin).
var injected = regexp.MustCompile(`^STRAIT_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

// injectedByOther are those of a service whose name begins with strait- and goes on.
// The one that ends at PORT is told from a mistake by its value, a URL.
var injectedByOther = regexp.MustCompile(`^STRAIT_[A-Z0-9_]+_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)

// names refuses the variables that nobody declares, except those of Kubernetes.
func (l *loader) names() {
	var ignored []string
	for _, name := range slices.Sorted(maps.Keys(l.environ)) {
		if _, known := l.table[name]; known {
			l.config.given[name] = true
			continue
		}
		value := l.environ[name]
		delete(l.environ, name)
		switch {
		case name == Prefix+"PORT" && !strings.Contains(value, "://"):
			l.notices = append(l.notices, Notice{Variables: []string{name}, Text: "ignored: Kubernetes sets a variable of that name, so it is no setting; the port belongs in STRAIT_TCP_ADDR"})
		case injected.MatchString(name):
			ignored = append(ignored, name)
		default:
			l.unknown(name, value)
		}
	}
	if len(ignored) > 0 {
		l.notices = append(l.notices, Notice{Variables: ignored, Text: "ignored: set by Kubernetes for a service named strait"})
	}
}

// unknown refuses a name. Its value is not shown: a name that is not known may well
// be that of a secret.
func (l *loader) unknown(name, value string) {
	p := &Problem{Variable: name, Reason: "there is no such variable"}
	key := strings.ToUpper(strings.TrimPrefix(name, Prefix))
	near := nearest(key, keys())
	if port, is := strings.CutSuffix(key, "_PORT"); is && slices.Contains(keys(), port+"_ADDR") {
		near = port + "_ADDR"
	}
	switch {
	case injectedByOther.MatchString(name), strings.HasSuffix(name, "_PORT") && strings.Contains(value, "://"):
		p.Reason += "; it looks like one that Kubernetes sets for a service whose name begins with strait-"
		p.Want = "enableServiceLinks: false in the pod's specification, or another name for that service"
	case near != "":
		p.Reason += "; did you mean " + Prefix + near + "?"
	default:
		p.Want = "one of those that `strait config docs` lists"
	}
	l.problems[name] = p
}

// decode fills the configuration.
func (l *loader) decode() {
	for _, group := range l.config.groups() {
		err := env.ParseWithOptions(group, env.Options{Prefix: Prefix, Environment: l.environ})
		var all env.AggregateError // has no Unwrap: its errors are walked by hand
		if !errors.As(err, &all) {
			continue
		}
		for _, err := range all.Errors {
			var parse env.ParseError
			if !errors.As(err, &parse) {
				l.problems[Prefix] = &Problem{Variable: Prefix, Reason: err.Error(), Err: err}
				continue
			}
			// env names the field; within one group field names are unique.
			field, _ := reflect.TypeOf(group).Elem().FieldByName(parse.Name)
			l.refuse(Prefix+field.Tag.Get("env"), decodeReason(parse))
		}
	}
}

// decodeReason says in an operator's words why a value could not be decoded.
func decodeReason(parse env.ParseError) error {
	var number *strconv.NumError
	switch {
	case errors.As(parse.Err, &number) && errors.Is(number.Err, strconv.ErrRange):
		return errors.New("out of range")
	case errors.As(parse.Err, &number):
		return errors.New("not a whole number")
	case parse.Type == reflect.TypeFor[time.Duration]():
		return errors.New("not a duration, which is a number with a unit (ms, s, m, h)")
	case strings.HasPrefix(parse.Err.Error(), "slog: "):
		return errors.New("not a level")
	}
	return parse.Err
}

// rules holds each value against its own rule.
func (l *loader) rules() {
	byKey := fields(l.config)
	for name, v := range l.table {
		value := byKey[v.key]
		if v.rule.check == nil || !l.ok(name) || value.Kind() == reflect.String && value.Len() == 0 {
			continue
		}
		if err := v.rule.check(value.Interface()); err != nil {
			l.refuse(name, err)
		}
	}
}

// refuse records what is wrong with a variable's value; what would be right is in
// the table.
func (l *loader) refuse(name string, err error) {
	l.add(name, &Problem{Reason: err.Error(), Want: l.table[name].rule.accepts, Err: err})
}

// add records a problem with a variable unless it has one already. It fills in the
// name and the value.
func (l *loader) add(name string, p *Problem) {
	if !l.ok(name) {
		return
	}
	p.Variable = name
	if value, set := l.environ[name]; set {
		p.Given = shown(value)
	}
	l.problems[name] = p
}

// ok reports whether none of the variables has a problem so far.
func (l *loader) ok(names ...string) bool {
	return !slices.ContainsFunc(names, func(name string) bool { return l.problems[name] != nil })
}

func (l *loader) inOrder() []*Problem {
	var out []*Problem
	for _, v := range variables() {
		if p := l.problems[v.name()]; p != nil {
			out = append(out, p)
			delete(l.problems, v.name())
		}
	}
	for _, name := range slices.Sorted(maps.Keys(l.problems)) {
		out = append(out, l.problems[name])
	}
	return out
}

// settle makes of valid values what the gateway uses.
func (l *loader) settle() {
	c := l.config
	if given := c.Gateway.QueueSize; given&(given-1) != 0 {
		c.Gateway.QueueSize = 1 << bits.Len64(uint64(given))
		c.note(nameQueueSize, fmt.Sprintf("%d, rounded up to a power of two", given))
	}
	l.keyExposed()
}
