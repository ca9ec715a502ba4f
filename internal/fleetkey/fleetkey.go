// Package fleetkey owns the secret that the gateways of a fleet share, and derives
// from it the keys of each use. It never prints, logs or keeps a key in text.
//
//  1. An operator gives a file of one or two lines: the first key seals, both open,
//     so that keys can be rotated; without a file a random key lives as long as the
//     process.
//  2. Each use derives its own key by HKDF-SHA256 (RFC 5869) from a label and a
//     context, such as a node's name: no use can tell another's.
package fleetkey

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// Size is the length of a key in bytes; in a file it is twice as many hex digits.
const Size = 32

// maxFile is what a key file may be long, blank lines and comments included.
const maxFile = 4096

// Ring holds the key that seals and those that open. The zero Ring is not usable.
type Ring struct{ keys [][Size]byte }

// Generate returns a ring with one random key.
func Generate() Ring {
	var k [Size]byte
	rand.Read(k[:])
	return Ring{keys: [][Size]byte{k}}
}

// Parse reads a key file's text: one or two lines of 64 hex digits; blank lines and
// lines that begin with # do not count. Errors never quote the text.
func Parse(text string) (Ring, error) {
	var r Ring
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if len(line) != 2*Size {
			return Ring{}, fmt.Errorf("line %d has %d characters: a fleet key is %d hex digits, as from: openssl rand -hex %d", i+1, len(line), 2*Size, Size)
		}
		var k [Size]byte
		if _, err := hex.Decode(k[:], []byte(line)); err != nil {
			return Ring{}, fmt.Errorf("line %d is not hex: a fleet key is %d digits of 0-9 and a-f", i+1, 2*Size)
		}
		r.keys = append(r.keys, k)
	}
	switch {
	case len(r.keys) == 0:
		return Ring{}, fmt.Errorf("no key: write one or two lines of %d hex digits", 2*Size)
	case len(r.keys) > 2:
		return Ring{}, fmt.Errorf("%d keys: write at most two, the first seals, both open", len(r.keys))
	case len(r.keys) == 2 && r.keys[0] == r.keys[1]:
		return Ring{}, errors.New("both keys are the same: the second line is for the key before")
	}
	return r, nil
}

// Load reads a key file.
func Load(path string) (Ring, error) {
	f, err := os.Open(path)
	if err != nil {
		return Ring{}, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return Ring{}, err
	}
	if len(b) > maxFile {
		return Ring{}, fmt.Errorf("%s: longer than %d bytes: it is not a key file", path, maxFile)
	}
	r, err := Parse(string(b))
	if err != nil {
		return Ring{}, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

// Derive returns the key for one use under each key of the ring, the sealing one
// first. label names the use; parts narrow it, such as a node's name, and do not
// run into each other.
func (r Ring) Derive(label string, parts ...string) [][Size]byte {
	info := "strait " + label
	for _, p := range parts {
		info += fmt.Sprintf("\x00%d:%s", len(p), p)
	}
	out := make([][Size]byte, len(r.keys))
	for i := range r.keys {
		k, err := hkdf.Key(sha256.New, r.keys[i][:], nil, info, Size)
		if err != nil {
			panic("fleetkey: " + err.Error()) // only for lengths that cannot be
		}
		copy(out[i][:], k)
	}
	return out
}
