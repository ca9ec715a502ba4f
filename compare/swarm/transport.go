package swarm

import (
	"fmt"
	"strings"

	"strait/client"
	"strait/internal/nearest"
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
	if near := nearest.To(strings.ToLower(name), names, len(name)/2); near != "" {
		return 0, fmt.Errorf("there is no transport %q; did you mean %s?", name, near)
	}
	return 0, fmt.Errorf("there is no transport %q; there are %s", name, strings.Join(names, ", "))
}
