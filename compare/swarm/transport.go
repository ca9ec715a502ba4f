package swarm

import (
	"fmt"
	"strings"

	"strait/client"
)

// TransportNames lists what ParseTransport takes.
func TransportNames() []string {
	names := []string{client.Auto.String()}
	for _, t := range client.Transports {
		names = append(names, t.String())
	}
	return names
}

// ParseTransport finds a transport of package client by its name. The error of an
// unknown one suggests the nearest.
func ParseTransport(name string) (client.Transport, error) {
	if name == client.Auto.String() {
		return client.Auto, nil
	}
	for _, t := range client.Transports {
		if name == t.String() {
			return t, nil
		}
	}
	names := TransportNames()
	if near := nearest(strings.ToLower(name), names); near != "" {
		return 0, fmt.Errorf("there is no transport %q; did you mean %s?", name, near)
	}
	return 0, fmt.Errorf("there is no transport %q; there are %s", name, strings.Join(names, ", "))
}

// nearest returns the candidate that is at most half of name's letters away; "" if
// there is none.
func nearest(name string, candidates []string) (best string) {
	least := len(name)/2 + 1
	for _, c := range candidates {
		if d := distance(name, c); d < least {
			best, least = c, d
		}
	}
	return best
}

// distance counts the letters to insert, delete, replace or swap with their
// neighbour to turn a into b (optimal string alignment).
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, rows[i-2][j-2]+1)
			}
			rows[i][j] = d
		}
	}
	return rows[len(a)][len(b)]
}
