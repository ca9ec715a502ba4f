package main

import (
	"unicode"
	"unicode/utf8"
)

// key is a key that was pressed: a character, or one of those below.
type key rune

const (
	keyUp key = unicode.MaxRune + 1 + iota
	keyRight
	keyDown
	keyLeft
	keyEscape
	keyEnter
	keyBackspace
	keyInterrupt // ctrl-C, ctrl-D
)

// keys turns what a terminal in raw mode sends into keys. Sequences may come in
// parts; what it does not know it swallows.
type keys struct {
	rest []byte // the beginning of something longer
}

// feed returns the keys that are complete with b, which is borrowed. An escape at the
// end of b is the key of that name, unless what comes next makes it a sequence.
func (k *keys) feed(b []byte) (pressed []key) {
	k.rest = append(k.rest, b...)
	for len(k.rest) > 0 {
		p, n := next(k.rest)
		if n == 0 {
			break
		}
		if p != 0 {
			pressed = append(pressed, p)
		}
		k.rest = k.rest[n:]
	}
	if len(k.rest) == 1 && k.rest[0] == '\x1b' {
		pressed = append(pressed, keyEscape)
	}
	return pressed
}

// next returns the key at the start of b, 0 for one that means nothing, and its
// length, 0 if it is not complete.
func next(b []byte) (p key, n int) {
	switch c := b[0]; {
	case c == '\x1b':
		return sequence(b)
	case c == '\r' || c == '\n':
		return keyEnter, 1
	case c == 0x7f || c == 0x08:
		return keyBackspace, 1
	case c == 0x03 || c == 0x04:
		return keyInterrupt, 1
	case !utf8.FullRune(b):
		return 0, 0
	}
	r, n := utf8.DecodeRune(b)
	if r == utf8.RuneError || !unicode.IsPrint(r) {
		return 0, n
	}
	return key(r), n
}

// sequence reads what begins with an escape: ESC [ or ESC O, parameters, a final byte.
func sequence(b []byte) (p key, n int) {
	if len(b) == 1 {
		return 0, 0
	}
	if b[1] != '[' && b[1] != 'O' {
		return 0, 1 // the key alone was reported already, or is taken for one with Alt
	}
	for i := 2; i < len(b); i++ {
		if b[i] < 0x40 || b[i] > 0x7e {
			continue
		}
		switch b[i] {
		case 'A':
			p = keyUp
		case 'B':
			p = keyDown
		case 'C':
			p = keyRight
		case 'D':
			p = keyLeft
		}
		return p, i + 1
	}
	if len(b) > 32 {
		return 0, len(b) // no terminal sends that
	}
	return 0, 0
}
