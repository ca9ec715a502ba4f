package swarm

import (
	"strait/client"
	"strait/internal/nearest"
)

// Transport is how clients dial: a transport of package client, or a variant of one.
type Transport struct {
	client.Transport
	// NoDatagrams is that of client.Options.
	NoDatagrams bool
}

// variants are all there are, the SDK's own choice first.
var variants = func() []Transport {
	all := []Transport{{Transport: client.Auto}}
	for _, t := range client.Transports {
		all = append(all, Transport{Transport: t})
		if t == client.QUIC {
			all = append(all, Transport{Transport: t, NoDatagrams: true})
		}
	}
	return all
}()

// String returns the name: "quic-streams" for QUIC without datagrams, else the
// client's.
func (t Transport) String() string {
	if t.Transport == client.QUIC && t.NoDatagrams {
		return "quic-streams"
	}
	return t.Transport.String()
}

// Set makes o dial so.
func (t Transport) Set(o *client.Options) { o.Transport, o.NoDatagrams = t.Transport, t.NoDatagrams }

// transportOf is how o dials.
func transportOf(o *client.Options) Transport { return Transport{o.Transport, o.NoDatagrams} }

// TransportNames lists what ParseTransport takes.
func TransportNames() []string {
	names := make([]string, len(variants))
	for i, t := range variants {
		names[i] = t.String()
	}
	return names
}

// ParseTransport finds a transport by its name. The error of an unknown one is a
// [*nearest.UnknownError].
func ParseTransport(name string) (Transport, error) {
	return nearest.Lookup("transport", name, variants, Transport.String)
}
