package udp

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRate(t *testing.T) {
	var r rate
	now := int64(1e15)
	for i := range 4 {
		require.True(t, r.take(now, time.Millisecond, 4), "token %d of the burst", i)
	}
	require.False(t, r.take(now, time.Millisecond, 4))
	now += int64(time.Millisecond)
	require.True(t, r.take(now, time.Millisecond, 4), "one token came")
	require.False(t, r.take(now, time.Millisecond, 4))
	r.refund(time.Millisecond)
	require.True(t, r.take(now, time.Millisecond, 4))
	now += int64(time.Hour)
	for range 4 {
		require.True(t, r.take(now, time.Millisecond, 4))
	}
	require.False(t, r.take(now, time.Millisecond, 4), "it holds no more than a burst")
}

// The clock of the host may be put back: a bucket that was used is not shut until it has
// caught up.
func TestRateWhenTheClockIsPutBack(t *testing.T) {
	var r rate
	now := int64(1e15)
	require.True(t, r.take(now, time.Millisecond, 4))
	require.True(t, r.take(now-int64(time.Hour), time.Millisecond, 4))
	for range 3 {
		require.True(t, r.take(now-int64(time.Hour), time.Millisecond, 4))
	}
	require.False(t, r.take(now-int64(time.Hour), time.Millisecond, 4))
	var l load
	for range loadFailures + 1 {
		l.failure(now)
	}
	require.True(t, l.high(now))
	require.False(t, l.high(now-int64(time.Hour)))
}

func TestPrefixes(t *testing.T) {
	p := newPrefixes()
	same := func(a, b string) bool {
		return p.bucket(netip.MustParseAddr(a)) == p.bucket(netip.MustParseAddr(b))
	}
	assert.True(t, same("192.0.2.1", "192.0.2.255"))
	assert.False(t, same("192.0.2.1", "192.0.3.1") && same("192.0.2.1", "192.0.4.1"))
	assert.True(t, same("2001:db8:0:100::1", "2001:db8:0:1ff::1"), "a /56")
	assert.False(t, same("2001:db8:0:100::1", "2001:db8:0:200::1") && same("2001:db8:0:100::1", "2001:db8:0:300::1"))
	assert.Zero(t, testing.AllocsPerRun(100, func() { p.bucket(netip.AddrFrom4([4]byte{1, 2, 3, 4})) }))
}

func TestLoad(t *testing.T) {
	var l load
	now := int64(1e15)
	for range loadFailures {
		l.failure(now)
	}
	require.False(t, l.high(now))
	l.failure(now)
	require.True(t, l.high(now))
	require.True(t, l.high(now+int64(loadHold)-1))
	require.False(t, l.high(now+int64(loadHold)))

	for s := range int64(3) {
		for range loadHellos {
			l.hello(now + (10+s)*int64(time.Second))
		}
	}
	require.False(t, l.high(now+13*int64(time.Second)), "the limit is for each second")
}
