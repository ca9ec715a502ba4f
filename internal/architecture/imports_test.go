package architecture

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// module is the path that all packages of this tree begin with.
const module = "strait/"

// rule forbids packages to reach others, directly or through what they import.
type rule struct {
	from   string   // a package below module, or with /... also all below it; "..." is all
	except []string // likewise, what of from the rule leaves alone
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
	{from: "...", except: []string{"compare/...", "bench/...", "cmd/strait"}, never: []string{"strait/compare/...", "github.com/xtaci/kcp-go/...", "github.com/coder/websocket/..."}, reason: "nothing that serves or is shipped carries the lab and the rivals; of the one binary TestOnlyItsCommandsReachTheLab tells more"},
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

// covers reports whether r is about the package at path.
func (r rule) covers(path string) bool {
	return matches(module+r.from, path) &&
		!slices.ContainsFunc(r.except, func(e string) bool { return matches(module+e, path) })
}

// broken returns the imports of p that r forbids.
func (r rule) broken(p listed, pkgs map[string]listed) (out []string) {
	for _, dep := range p.Deps {
		d := pkgs[dep]
		for _, never := range r.never {
			outside := never == "third-party" && d.Module != nil && d.Module.Path != "strait"
			inside := matches(never, dep)
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
			if !r.covers(path) {
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
	most := rule{from: "...", except: []string{"queue/...", "cmd/strait"}}
	for path, covered := range map[string]bool{
		"strait/gateway": true, "strait/cmd/strait/x": true, "strait/queues": true, "straits": false,
		"strait/queue": false, "strait/queue/x": false, "strait/cmd/strait": false, "net": false,
	} {
		require.Equal(t, covered, most.covers(path), path)
	}
}

// The one binary holds the lab as two of its commands. What serves in it does not call
// them: only the files of these commands import it.
func TestOnlyItsCommandsReachTheLab(t *testing.T) {
	const folder = "../../cmd/strait"
	files, err := filepath.Glob(folder + "/*.go")
	require.NoError(t, err)
	reach := 0
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		require.NoError(t, err)
		for _, i := range f.Imports {
			path, err := strconv.Unquote(i.Path.Value)
			require.NoError(t, err)
			if !matches("strait/compare/...", path) {
				continue
			}
			reach++
			base := filepath.Base(name)
			require.True(t, strings.HasPrefix(base, "compare") || strings.HasPrefix(base, "swarm"), "%s must not import %s", base, path)
		}
	}
	require.Positive(t, reach)
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
