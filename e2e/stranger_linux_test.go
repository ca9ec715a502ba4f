package e2e

import (
	"net"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// An independent QUIC stack, ngtcp2 with GnuTLS, opens a session, sends on the
// control stream, on a channel stream and as a DATAGRAM, and gets all echoed; also
// where it has to prove its address first. One whose datagrams are small gets what is
// longer on the control stream.
func TestOutsideStrangerOnQUIC(t *testing.T) {
	onlyThorough(t, "it is compiled against ngtcp2")
	client := filepath.Join(t.TempDir(), "client")
	out, err := exec.Command("gcc", "-Wall", "-Wextra", "-Werror", "-O1", "-o", client, "stranger/client.c",
		"-lngtcp2_crypto_gnutls", "-lngtcp2", "-lgnutls").CombinedOutput()
	require.NoError(t, err, "gcc, libngtcp2-dev, libngtcp2-crypto-gnutls-dev and libgnutls28-dev are needed: %s", out)
	for _, retry := range []string{"off", "always"} {
		t.Run("retry "+retry, func(t *testing.T) {
			gw := serve(t, "STRAIT_QUIC_ADDR=127.0.0.1:0", "STRAIT_QUIC_RETRY="+retry)
			host, port, err := net.SplitHostPort(gw.capture("the log line of the QUIC address", listeningQUIC))
			require.NoError(t, err)
			steps := []string{"opened", "control stream echoed", "channel stream echoed", "datagram echoed", "closed"}
			for _, limit := range [][]string{nil, {"200"}} {
				out, err := exec.CommandContext(t.Context(), client, append([]string{host, port}, limit...)...).CombinedOutput()
				require.NoError(t, err, "%s\n%s", out, gw.log())
				for _, step := range steps {
					assert.Contains(t, string(out), step+"\n")
				}
				steps = append(steps, "long message echoed on the control stream")
			}
			assert.Zero(t, gw.metric(`strait_quic_datagrams_dropped_total{reason="too_large"}`))
		})
	}
}
