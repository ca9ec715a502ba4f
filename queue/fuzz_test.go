package queue_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"strait/queue"
)

// FuzzOperations runs one goroutine's sequence of calls against a slice. Each
// byte is a call: the low three bits say which, the others its size.
func FuzzOperations(f *testing.F) {
	f.Add(uint8(1), []byte{0, 0, 0, 2, 10, 2})
	f.Add(uint8(4), []byte{25, 12, 25, 18, 3, 4, 3, 5, 0, 26, 3, 3})
	f.Add(uint8(7), []byte{1 | 7<<3, 2 | 5<<3, 1 | 6<<3, 2 | 3<<3, 2 | 9<<3, 6, 7})
	f.Fuzz(func(t *testing.T, capacity uint8, calls []byte) {
		slots := 2
		for slots < int(capacity) {
			slots *= 2
		}
		r := queue.New[int](max(1, int(capacity)))
		require.Equal(t, slots, r.Cap())
		var (
			held           []int
			next           int
			closed, nudged bool
		)
		room := func() int {
			if closed {
				return 0
			}
			return slots - len(held)
		}
		for _, call := range calls {
			size := int(call >> 3)
			switch call & 7 {
			case 0:
				fits := room() > 0
				require.Equal(t, fits, r.Push(next))
				if fits {
					held = append(held, next)
					next++
				}
			case 1:
				vs := make([]int, size)
				for i := range vs {
					vs[i] = next + i
				}
				n := min(size, room())
				require.Equal(t, n, r.PushBatch(vs))
				held = append(held, vs[:n]...)
				next += n
			case 2:
				dst := make([]int, size)
				n := min(size, len(held))
				require.Equal(t, n, r.Drain(dst))
				for i := range n {
					require.Equal(t, held[i], dst[i])
				}
				held = held[n:]
			case 3:
				// Only where it does not park.
				if nudged || len(held) > 0 {
					require.True(t, r.Wait())
					nudged = false
				} else if closed {
					require.False(t, r.Wait())
				}
			case 4:
				r.Wake()
				nudged = true
			case 5:
				// Rarely, or every sequence ends early.
				if size == 31 {
					r.Close()
					closed = true
				}
			case 6:
				require.False(t, r.TryAcquire(), "the consumer is awake")
			case 7:
				require.PanicsWithValue(t, "queue: Release without TryAcquire", func() {
					if nudged {
						r.Wait()
						nudged = false
					}
					r.Release()
				})
			}
			require.Equal(t, len(held), r.Len())
		}
	})
}
