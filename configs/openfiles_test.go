package configs_test

import (
	"errors"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/configs"
)

func TestDefaultsAreFittedToTheOpenFiles(t *testing.T) {
	for _, limit := range []uint64{160, 256, 1024, 4096, 20000, 21151} {
		c := load(t)
		notices, err := c.FitOpenFiles(limit, limit)
		require.NoError(t, err, limit)
		require.NotEmpty(t, notices, limit)
		assert.Contains(t, notices[0].Text, "lowered from 20000")
		assert.Contains(t, value(t, c, "STRAIT_MAX_SESSIONS").Note, "lowered from 20000")
		assert.Equal(t, configs.FromDefault, value(t, c, "STRAIT_MAX_SESSIONS").Source)
		g := c.Gateway
		assert.GreaterOrEqual(t, g.MaxSessions, int64(1))
		assert.GreaterOrEqual(t, g.MaxHandshakes, int64(16))
		assert.LessOrEqual(t, uint64(g.MaxSessions+g.MaxHandshakes)+128, limit)
		assert.GreaterOrEqual(t, uint64(g.MaxSessions+g.MaxHandshakes)+128, limit, "nothing is given away")
	}
	for _, limit := range []uint64{20000 + 1024 + 128, 1 << 20, math.MaxUint64} {
		c := load(t)
		notices, err := c.FitOpenFiles(limit, limit)
		require.NoError(t, err)
		assert.Empty(t, notices)
		assert.Equal(t, int64(20000), c.Gateway.MaxSessions)
	}
}

func TestGivenLimitsThatDoNotFitTheOpenFilesAreRefused(t *testing.T) {
	for _, tc := range []struct {
		environ    []string
		soft, hard uint64
		variable   string
		says       []string
	}{
		{[]string{"STRAIT_MAX_SESSIONS=1000"}, 1024, 1024, "STRAIT_MAX_SESSIONS", []string{"at least 1144", "may have 1024", "LimitNOFILE="}},
		{[]string{"STRAIT_MAX_SESSIONS=1000"}, 1024, 4096, "STRAIT_MAX_SESSIONS", []string{"ulimit -Sn", "4096"}},
		{[]string{"STRAIT_MAX_HANDSHAKES=1000"}, 1024, 1024, "STRAIT_MAX_HANDSHAKES", []string{"at least 1129"}},
		{[]string{"STRAIT_MAX_SESSIONS=500", "STRAIT_MAX_HANDSHAKES=500"}, 1024, 1024, "STRAIT_MAX_SESSIONS", []string{"at least 1128"}},
		{[]string{"STRAIT_MAX_SESSIONS=850", "STRAIT_UPSTREAM=link://a:1,link://b:1", "STRAIT_UPSTREAM_STREAMS=10"}, 1024, 1024, "STRAIT_MAX_SESSIONS", []string{"at least 1034", "168 for the gateway itself"}},
		{nil, 100, 100, "STRAIT_MAX_SESSIONS", []string{"at least 145"}},
		{nil, 0, 0, "STRAIT_MAX_SESSIONS", []string{"at least 145"}},
	} {
		c := load(t, tc.environ...)
		_, err := c.FitOpenFiles(tc.soft, tc.hard)
		var all *configs.Errors
		require.True(t, errors.As(err, &all), tc.environ)
		require.Len(t, all.Problems, 1)
		assert.Equal(t, tc.variable, all.Problems[0].Variable)
		for _, text := range tc.says {
			assert.ErrorContains(t, err, text)
		}
	}
}

func TestGivenLimitsThatFitTheOpenFilesStay(t *testing.T) {
	c := load(t, "STRAIT_MAX_SESSIONS=800")
	notices, err := c.FitOpenFiles(1024, 1024)
	require.NoError(t, err)
	require.Len(t, notices, 1, "only the default gives way")
	assert.Equal(t, []string{"STRAIT_MAX_HANDSHAKES"}, notices[0].Variables)
	assert.Equal(t, int64(800), c.Gateway.MaxSessions)
	assert.Equal(t, int64(96), c.Gateway.MaxHandshakes)

	c = load(t, "STRAIT_MAX_HANDSHAKES=100")
	notices, err = c.FitOpenFiles(1024, 1024)
	require.NoError(t, err)
	require.Len(t, notices, 1)
	assert.Equal(t, int64(1024-128-100), c.Gateway.MaxSessions)
	assert.Equal(t, int64(100), c.Gateway.MaxHandshakes)
}

func TestOpenFilesOfThisProcess(t *testing.T) {
	soft, hard, err := configs.OpenFiles()
	require.NoError(t, err)
	assert.Positive(t, soft)
	assert.LessOrEqual(t, soft, hard)
}
