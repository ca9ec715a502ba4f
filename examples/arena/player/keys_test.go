package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestKeys(t *testing.T) {
	for name, c := range map[string]struct {
		parts []string
		want  []key
	}{
		"letters":               {[]string{"wq"}, []key{'w', 'q'}},
		"arrows":                {[]string{"\x1b[A\x1b[B\x1bOC\x1b[D"}, []key{keyUp, keyDown, keyRight, keyLeft}},
		"with modifiers":        {[]string{"\x1b[1;5A"}, []key{keyUp}},
		"unknown sequences":     {[]string{"\x1b[15~x\x1b[3;4H"}, []key{'x'}},
		"a sequence in parts":   {[]string{"\x1b[", "1;2", "Cz"}, []key{keyRight, 'z'}},
		"escape alone":          {[]string{"\x1b"}, []key{keyEscape}},
		"escape, then a letter": {[]string{"\x1b", "q"}, []key{keyEscape, 'q'}},
		"escape twice":          {[]string{"\x1b", "\x1b"}, []key{keyEscape, keyEscape}},
		"editing":               {[]string{"\r\n\x7f\x08\x03\x04"}, []key{keyEnter, keyEnter, keyBackspace, keyBackspace, keyInterrupt, keyInterrupt}},
		"a rune in parts":       {[]string{"\xe2\x99", "\xa5"}, []key{'♥'}},
		"bytes of nothing":      {[]string{"\xff\x00\x01a"}, []key{'a'}},
	} {
		t.Run(name, func(t *testing.T) {
			var k keys
			var got []key
			for _, p := range c.parts {
				got = append(got, k.feed([]byte(p))...)
			}
			assert.Equal(t, c.want, got)
		})
	}
}

func FuzzKeys(f *testing.F) {
	f.Add([]byte("\x1b[A\x1bOBq\x1b[1;5"))
	f.Add([]byte("\xe2\x99\xa5\x1b"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var k keys
		for _, c := range b {
			k.feed([]byte{c})
			if len(k.rest) > 64 {
				t.Fatal("what is kept grows")
			}
		}
	})
}
