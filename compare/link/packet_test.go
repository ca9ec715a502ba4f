package link_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"strait/compare/link"
)

// Packets as they come from a TUN device.
var packets = map[string]struct {
	hex  string
	want link.Packet
	ok   bool
}{
	"IPv4 UDP":           {"4500001d 00004000 4011 0000 c6120001 c6120101 1b58 1b59 0009 0000 00", link.Packet{Length: 29, UDP: true}, true},
	"IPv4 TCP":           {"45000014 00004000 4006 0000 c6120001 c6120101", link.Packet{Length: 20}, true},
	"IPv4 UDP fragment":  {"45000018 000000b9 4011 0000 c6120001 c6120101 01020304", link.Packet{Length: 24, UDP: true}, true},
	"IPv4 multicast":     {"46c00028 00004000 0102 0000 c6120001 e0000016 94040000", link.Packet{}, false},
	"IPv4 cut":           {"45000014 0000", link.Packet{}, false},
	"IPv6 UDP":           {"60000000 0009 11 40 20010002000000000000000000000001 20010002000000010000000000000001 1b58 1b59 0009 0000 00", link.Packet{Length: 49, UDP: true}, true},
	"IPv6 TCP":           {"60000000 0000 06 40 20010002000000000000000000000001 20010002000000010000000000000001", link.Packet{Length: 40}, true},
	"IPv6 options, UDP":  {"60000000 0010 00 40 20010002000000000000000000000001 20010002000000010000000000000001 1100010400000000 1b581b5900080000", link.Packet{Length: 56, UDP: true}, true},
	"IPv6 fragment, UDP": {"60000000 0010 2c 40 20010002000000000000000000000001 20010002000000010000000000000001 1100 05a9 00000001 0102030405060708", link.Packet{Length: 56, UDP: true}, true},
	"IPv6 options, cut":  {"60000000 0004 00 40 20010002000000000000000000000001 20010002000000010000000000000001 11000104", link.Packet{Length: 44}, true},
	"IPv6 multicast":     {"60000000 0000 3a 01 00000000000000000000000000000000 ff020000000000000000000000000016", link.Packet{}, false},
	"neither":            {"0000", link.Packet{}, false},
	"empty":              {"", link.Packet{}, false},
}

func raw(t testing.TB, s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	require.NoError(t, err)
	return b
}

func TestParse(t *testing.T) {
	for name, c := range packets {
		t.Run(name, func(t *testing.T) {
			got, ok := link.Parse(raw(t, c.hex))
			require.Equal(t, c.ok, ok)
			require.Equal(t, c.want, got)
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, c := range packets {
		f.Add(raw(f, c.hex))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, ok := link.Parse(b)
		if ok {
			require.Equal(t, len(b), p.Length)
		} else {
			require.Zero(t, p)
		}
	})
}
