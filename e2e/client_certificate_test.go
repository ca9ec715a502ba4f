package e2e

import (
	"crypto/tls"
	"strings"
	"testing"
	"time"

	quicgo "github.com/quic-go/quic-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Where the operator names authorities for clients, nobody gets in without one of their
// certificates, over TCP or QUIC; the log and the metric say why.
func TestClientCertificates(t *testing.T) {
	t.Parallel()
	ours, foreign := issue(t, "ours", nil), issue(t, "foreign", nil)
	gw := serveQUIC(t, "STRAIT_TLS_CLIENT_CA_FILE="+ours.certFile)
	shows := func(c *credential) *tls.Config {
		conf := secure(gw)
		if c != nil {
			conf.Certificates = []tls.Certificate{c.pair(t)}
		}
		return conf
	}
	tcpFailures, quicFailures := failure("certificate"), strings.Replace(failure("certificate"), "_tcp_", "_quic_", 1)
	refused := 0.0
	for _, c := range []struct {
		name string
		cert *credential
		says string
	}{
		{"none", nil, "the client shows none"},
		{"of another authority", issue(t, "stranger", foreign), "unknown authority"},
	} {
		refused++
		// With TLS 1.3 the client's handshake is done before the gateway's is.
		conn, err := dial(gw, shows(c.cert))
		if err == nil {
			_, err = conn.Read(make([]byte, 1))
			conn.Close()
		}
		require.ErrorContains(t, err, "remote error: tls: bad certificate", "%s over TCP", c.name)
		gw.reaches(tcpFailures, refused)

		p, err := dialQUIC(t, gw, quicSetup{tls: shows(c.cert)})
		if err == nil {
			err = p.ended()
		}
		var alert *quicgo.TransportError
		require.ErrorAs(t, err, &alert, "%s over QUIC", c.name)
		assert.True(t, alert.Remote)
		assert.EqualValues(t, 0x100+42, alert.ErrorCode, "bad_certificate")
		gw.reaches(quicFailures, refused)
		require.Eventually(t, func() bool {
			n := 0
			for _, line := range gw.stderr.all() {
				if strings.Contains(line, "a client's certificate was refused") && strings.Contains(line, c.says) {
					n++
				}
			}
			return n == 2
		}, patience, 10*time.Millisecond, "the log says why, for both")
	}
	good := issue(t, "player", ours)
	conn, err := dial(gw, shows(good))
	require.NoError(t, err)
	p := playerOn(t, conn)
	p.write(clientHello())
	p.welcome()
	p.plays()
	joinQUIC(t, gw, quicSetup{tls: shows(good)}).plays()
}
