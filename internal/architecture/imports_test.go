package architecture

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// module is the path that all packages of this tree begin with.
const module = "strait/"

// rule forbids packages to reach others, directly or through what they import.
type rule struct {
	from   string   // a package below module, or with /... also all below it
	except []string // packages of from that the rule leaves alone
	never  []string // forbidden: likewise, or an import path outside the module
	reason string
}

var transports = []string{"strait/tcp/...", "strait/udp/...", "strait/quic/..."}

var rules = []rule{
	{from: "transport", never: []string{"strait/...", "third-party"}, reason: "the vocabulary of all parts depends on the standard library alone"},
	{from: "queue", never: []string{"strait/...", "third-party"}, reason: "the ring is generic and depends on the standard library alone"},
	{from: "transport/lane", never: append([]string{"strait/gateway/...", "strait/upstream/...", "strait/configs", "net/http"}, transports...), reason: "the lane's core knows no transport and no gateway"},
	{from: "transport/outbox", never: []string{"strait/gateway/...", "strait/upstream/..."}, reason: "gateway and client share it"},
	{from: "proto/wire", never: []string{"net", "strait/transport/..."}, reason: "codecs do no I/O and know no session"},
	{from: "proto/batch", never: []string{"strait/transport/...", "strait/upstream/..."}, reason: "codecs know no session"},
	{from: "tcp", never: []string{"strait/udp/...", "strait/quic/...", "strait/gateway/...", "strait/upstream/...", "strait/configs", "strait/client/..."}, reason: "transports never import each other, nor what stands above them"},
	{from: "udp", never: []string{"strait/tcp/...", "strait/quic/...", "strait/gateway/...", "strait/upstream/...", "strait/configs", "strait/client/..."}, reason: "transports never import each other, nor what stands above them"},
	{from: "udp/sealed", never: []string{"net", "strait/transport/...", "strait/udp"}, reason: "the state machine knows no socket and no session"},
	{from: "quic/...", never: []string{"strait/tcp/...", "strait/udp/...", "strait/gateway/...", "strait/upstream/...", "strait/configs", "strait/client/..."}, reason: "transports never import each other, nor what stands above them"},
	{from: "quic/session", never: []string{"strait/quic", "strait/internal/fleetkey"}, reason: "gateway and client share it"},
	{from: "gateway", never: append([]string{"strait/configs", "strait/client/...", "strait/backend/...", "strait/upstream/inproc", "strait/upstream/remote", "strait/upstream/link", "github.com/prometheus/..."}, transports...), reason: "the gateway knows transports, drivers and exporters only as interfaces"},
	{from: "upstream/...", never: append([]string{"strait/gateway/...", "strait/configs", "strait/client/...", "strait/backend/..."}, transports...), except: []string{"upstream/upstreamtest"}, reason: "drivers stand below the gateway"},
	{from: "backend/...", never: append([]string{"strait/gateway/...", "strait/upstream/...", "strait/transport/...", "strait/client/..."}, transports...), reason: "game logic needs the contract alone"},
	{from: "client", never: []string{"strait/gateway/...", "strait/upstream/...", "strait/configs", "strait/backend/...", "strait/tcp/...", "strait/udp", "strait/quic", "google.golang.org/grpc/...", "github.com/prometheus/..."}, reason: "the SDK ships inside games: of the transports it has only what both ends share"},
	{from: "client/clienttest", never: []string{"strait/gateway/...", "strait/upstream/...", "strait/configs", "strait/backend/...", "google.golang.org/grpc/...", "github.com/prometheus/..."}, reason: "it stands in for a gateway in tests of games"},
	{from: "configs", never: append([]string{"strait/gateway/...", "strait/client/..."}, transports...), reason: "configuration is decoded without starting anything"},
}

// listed is what go list says of a package.
type listed struct {
	ImportPath string
	Deps       []string
	Module     *struct{ Path string }
}

func list(t *testing.T) map[string]listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Deps,Module", "strait/...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	pkgs := make(map[string]listed)
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return pkgs
		}
		require.NoError(t, err)
		pkgs[p.ImportPath] = p
	}
}

func matches(pattern, path string) bool {
	if base, ok := strings.CutSuffix(pattern, "/..."); ok {
		return path == base || strings.HasPrefix(path, base+"/")
	}
	return pattern == path
}

// broken returns the imports of p that r forbids.
func (r rule) broken(p listed, pkgs map[string]listed) (out []string) {
	for _, dep := range p.Deps {
		d := pkgs[dep]
		for _, never := range r.never {
			outside := never == "third-party" && d.Module != nil && d.Module.Path != "strait"
			inside := matches(never, dep) && !matches(module+r.from, dep)
			if outside || inside {
				out = append(out, dep)
			}
		}
	}
	return out
}

func TestImportsPointDownwards(t *testing.T) {
	pkgs := list(t)
	for _, r := range rules {
		found := false
		for path, p := range pkgs {
			if !matches(module+r.from, path) || slices.Contains(r.except, strings.TrimPrefix(path, module)) {
				continue
			}
			found = true
			require.Empty(t, r.broken(p, pkgs), "%s must not import these: %s", path, r.reason)
		}
		require.True(t, found, "a rule for %s, which does not exist", r.from)
	}
}

// The rules catch what they forbid.
func TestRulesCatch(t *testing.T) {
	pkgs := map[string]listed{
		"strait/gateway": {ImportPath: "strait/gateway", Deps: []string{"net", "strait/tcp", "strait/queue"}},
		"strait/tcp":     {ImportPath: "strait/tcp"},
		"strait/queue":   {ImportPath: "strait/queue", Deps: []string{"example.com/x"}},
		"example.com/x":  {ImportPath: "example.com/x", Module: &struct{ Path string }{"example.com/x"}},
	}
	require.Equal(t, []string{"strait/tcp"}, rule{from: "gateway", never: transports}.broken(pkgs["strait/gateway"], pkgs))
	require.Equal(t, []string{"example.com/x"}, rule{from: "queue", never: []string{"third-party"}}.broken(pkgs["strait/queue"], pkgs))
}

// Package names of transports are not used for variables, so that tcp.Listener
// always means the package.
func TestTransportNamesAreNoVariables(t *testing.T) {
	out, err := exec.Command("git", "grep", "-nE", `(^|[^.[:alnum:]_])(tcp|udp|quic)(, [a-z]+)* :?= |\bvar (tcp|udp|quic) `, "--", ":/*.go").Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 {
		return // nothing found
	}
	if err != nil {
		t.Logf("git is not here: %v", err)
		return
	}
	require.Empty(t, string(out))
}
