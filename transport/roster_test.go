package transport_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/transport"
)

// Who leaves in time is not cut, who stays is, and nobody is forgotten.
func TestRosterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r transport.Roster[string]
		for _, name := range []string{"gone before", "polite", "slow", "stubborn"} {
			require.True(t, r.Add(name))
		}
		r.Remove("gone before")
		assert.Equal(t, 3, r.Len())
		began := time.Now()
		cut := make(map[string]time.Duration)
		r.Close(time.Second, func(name string) {
			switch name {
			case "polite":
				r.Remove(name)
			case "slow":
				time.AfterFunc(999*time.Millisecond, func() { r.Remove(name) })
			case "stubborn":
				assert.False(t, r.Add("late"))
			default:
				assert.Fail(t, "drained", name)
			}
		}, func(name string) {
			cut[name] = time.Since(began)
			time.AfterFunc(time.Minute, func() { r.Remove(name) })
		})
		assert.Equal(t, map[string]time.Duration{"stubborn": time.Second}, cut)
		assert.Equal(t, time.Second+time.Minute, time.Since(began), "it waits for the last one")
		assert.Zero(t, r.Len())
	})
}

// An empty roster closes at once.
func TestRosterCloseEmpty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r transport.Roster[int]
		began := time.Now()
		nobody := func(int) { assert.Fail(t, "nobody is there") }
		r.Close(time.Hour, nobody, nobody)
		assert.Zero(t, time.Since(began))
		assert.False(t, r.Add(1))
	})
}
