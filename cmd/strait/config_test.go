package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"strait/configs"
)

// small fits any limit of open files under which tests run.
var small = environ{"PATH=/bin", "STRAIT_MAX_SESSIONS=10", "STRAIT_MAX_HANDSHAKES=10", "STRAIT_QUEUE_SIZE=1000"}

func TestConfigShowPrintsATable(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, configShowCmd{}.Run(&out, small))
	rows := make(map[string][]string)
	for line := range strings.Lines(out.String()) {
		assert.Equal(t, strings.TrimRight(line, " \n"), strings.TrimSuffix(line, "\n"), "no padding at the end")
		words := strings.Fields(line)
		require.GreaterOrEqual(t, len(words), 3, line)
		rows[words[0]] = words[1:]
	}
	assert.Len(t, rows, 53+1, "every variable and the head")
	assert.Equal(t, []string{"VALUE", "SOURCE", "NOTE"}, rows["VARIABLE"])
	assert.Equal(t, []string{":7777", "default"}, rows["STRAIT_TCP_ADDR"])
	assert.Equal(t, []string{"10", "environment"}, rows["STRAIT_MAX_SESSIONS"])
	assert.Equal(t, []string{"-", "default"}, rows["STRAIT_TLS_CERT_FILE"])
	assert.Equal(t, "1024 environment 1000, rounded up to a power of two", strings.Join(rows["STRAIT_QUEUE_SIZE"], " "))
}

func TestConfigShowPrintsJSON(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, configShowCmd{JSON: true}.Run(&out, small))
	var values []configs.Value
	require.NoError(t, json.Unmarshal(out.Bytes(), &values))
	require.Len(t, values, 53)
	assert.Equal(t, "STRAIT_TCP_ADDR", values[0].Name)
	assert.Equal(t, ":7777", values[0].Value)
	assert.Equal(t, configs.FromDefault, values[0].Source)
	assert.NotEmpty(t, values[0].Doc)
}

func TestConfigRefusesWithOneProblemALine(t *testing.T) {
	wrong := environ{"STRAIT_TPC_ADDR=:1", "STRAIT_SHARDS=-1", "STRAIT_PORT_1_TCP=tcp://10.0.0.1:1"}
	var out bytes.Buffer
	for _, run := range []func(io.Writer, environ) error{configShowCmd{}.Run, configCheckCmd{}.Run} {
		err := run(&out, wrong)
		var all *configs.Errors
		require.True(t, errors.As(err, &all))
		lines := strings.Split(err.Error(), "\n")
		require.Len(t, lines, 2)
		assert.True(t, strings.HasPrefix(lines[0], "STRAIT_SHARDS="), lines[0])
		assert.True(t, strings.HasPrefix(lines[1], "STRAIT_TPC_ADDR: "), lines[1])
	}
	assert.Equal(t, "STRAIT_PORT_1_TCP: ignored: set by Kubernetes for a service named strait\n", out.String())
}

func TestConfigCheckHoldsAgainstOpenFiles(t *testing.T) {
	soft, _, err := configs.OpenFiles()
	require.NoError(t, err)
	if soft > 1_000_000 {
		t.Skip("as many open files as the most sessions need")
	}
	err = configCheckCmd{}.Run(io.Discard, environ{"STRAIT_MAX_SESSIONS=1000000"})
	assert.ErrorContains(t, err, "STRAIT_MAX_SESSIONS")
	assert.ErrorContains(t, err, "open files")
}

func TestConfigCheckAccepts(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, configCheckCmd{}.Run(&out, append(environ{"STRAIT_UDP_ADDR=off", "STRAIT_QUIC_ADDR=off"}, small...)))
	assert.Equal(t, "The configuration is valid.\n", out.String())
}

func TestConfigCommandLine(t *testing.T) {
	for line, want := range map[string]string{
		"config":             "VARIABLE ",
		"config show":        "VARIABLE ",
		"config --json":      "[\n",
		"config show --json": "[\n",
		"config check":       "The configuration is valid.",
		"config docs":        "<!-- Written by strait config docs.",
	} {
		var root struct {
			Config configCmd `cmd:""`
		}
		var out bytes.Buffer
		parser, err := kong.New(&root, kong.BindTo(&out, (*io.Writer)(nil)), kong.Bind(small))
		require.NoError(t, err)
		k, err := parser.Parse(strings.Fields(line))
		require.NoError(t, err, line)
		require.NoError(t, k.Run(), line)
		assert.True(t, strings.HasPrefix(out.String(), want), "%s: %s", line, out.String())
	}
}
