package game

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Whatever parses is what put had written.
func FuzzParse(f *testing.F) {
	b := make([]byte, headerLen)
	header{flow: 3, player: 1 << 31, seq: 77, due: -5}.put(b)
	f.Add(b)
	f.Add(append(b, "filler"...))
	f.Add(b[:headerLen-1])
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := parse(b)
		if err != nil {
			return
		}
		back := make([]byte, headerLen)
		h.put(back)
		require.Equal(t, b[:headerLen], back)
	})
}

func TestFillerDoesNotRepeat(t *testing.T) {
	seen := make(map[[8]byte]bool)
	b := filler(1024)
	for i := 0; i < len(b); i += 8 {
		require.False(t, seen[[8]byte(b[i:])])
		seen[[8]byte(b[i:])] = true
	}
}
