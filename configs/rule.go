package configs

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"
)

// rule is what a variable's value must be. The same text goes into the reference and
// into the message that refuses a value.
type rule struct {
	accepts string
	check   func(v any) error // of the decoded, non-empty value; nil if decoding checks all
}

func integer(from, to int64) rule {
	return rule{
		accepts: fmt.Sprintf("a whole number from %d to %d", from, to),
		check: func(v any) error {
			if n := v.(int64); n < from || n > to {
				return errors.New("out of range")
			}
			return nil
		},
	}
}

func zeroOr(meaning string, from, to int64) rule {
	r := integer(from, to)
	return rule{
		accepts: fmt.Sprintf("0 (%s) or %s", meaning, r.accepts),
		check: func(v any) error {
			if v.(int64) == 0 {
				return nil
			}
			return r.check(v)
		},
	}
}

func duration(from, to time.Duration) rule {
	return rule{
		accepts: fmt.Sprintf("a duration from %s to %s, such as 1.5s or 2m", shortDuration(from), shortDuration(to)),
		check: func(v any) error {
			if d := v.(time.Duration); d < from || d > to {
				return errors.New("out of range")
			}
			return nil
		},
	}
}

// shortDuration writes a duration without units that are zero: 1h, not 1h0m0s.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func oneOf(words ...string) rule {
	return rule{
		accepts: alternatives(words),
		check: func(v any) error {
			if !slices.Contains(words, v.(string)) {
				return errors.New("not one of the words")
			}
			return nil
		},
	}
}

func logLevel() rule {
	levels := []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}
	words := make([]string, len(levels))
	for i, l := range levels {
		words[i] = strings.ToLower(l.String())
	}
	return rule{
		accepts: alternatives(words),
		check: func(v any) error {
			if !slices.Contains(levels, v.(slog.Level)) {
				return errors.New("a level between the four")
			}
			return nil
		},
	}
}

func alternatives(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

func address() rule {
	return rule{accepts: "host:port, [ipv6]:port or :port, the port by number or name (0: any free one); or off"}
}

func file(what string) rule {
	return rule{
		accepts: "the path of a PEM file with " + what,
		check:   func(v any) error { return readable(v.(string)) },
	}
}

// readable refuses a path from which no file can be read.
func readable(name string) error {
	if holdsPEM(name) {
		return errors.New("holds the contents of a file, where its path belongs")
	}
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("cannot be read: %w", reason(err))
	}
	defer f.Close()
	switch info, err := f.Stat(); {
	case err != nil:
		return fmt.Errorf("cannot be read: %w", reason(err))
	case info.IsDir():
		return errors.New("is a folder, not a file")
	}
	return nil
}

// reason strips the operation and the path, which the message has already, from an
// error of package os.
func reason(err error) error {
	var pathErr *os.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}
