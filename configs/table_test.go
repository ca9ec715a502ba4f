package configs

import (
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTableAndFieldsAgree(t *testing.T) {
	table := keys()
	slices.Sort(table)
	assert.Equal(t, table, slices.Sorted(maps.Keys(fields(new(Config)))), "every variable has a tagged field and a line in the table")

	var full []string
	for _, v := range variables() {
		full = append(full, v.name())
		assert.NotEmpty(t, v.doc, v.key)
		assert.NotEmpty(t, v.rule.accepts, v.key)
		assert.NotContains(t, v.doc+v.rule.accepts, "|", "it would end a cell of the reference")
		assert.NotContains(t, v.doc+v.rule.accepts, "\n", v.key)
	}
	slices.Sort(full)
	assert.Equal(t, full, slices.Sorted(maps.Keys(defaults())))
	for _, name := range []string{
		nameTCP, nameUDP, nameQUIC, nameAdmin, nameNode, nameStreamWindow, nameConnWindow, nameCert, nameKey, nameMinVersion, nameSuites, nameUpstream, nameUpCA, nameUpCert, nameUpKey,
		nameQueueSize, nameShards, nameSessions, nameHandshakes, nameMaxMessage, nameSendBuffer, nameBufferBudget,
	} {
		assert.Contains(t, full, name)
	}
}

// Every field of a Config belongs to a group, or else Load would leave it alone.
func TestGroupsAreAllThereIs(t *testing.T) {
	c := new(Config)
	groups := c.groups()
	exported := 0
	for f := range reflect.TypeFor[Config]().Fields() {
		if f.IsExported() {
			require.Less(t, exported, len(groups))
			assert.Equal(t, f.Type, reflect.TypeOf(groups[exported]).Elem())
			exported++
		}
	}
	assert.Len(t, groups, exported)
}
