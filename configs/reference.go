package configs

import (
	"fmt"
	"strings"
)

// Reference returns the documentation of every variable in Markdown.
func Reference() string {
	var b strings.Builder
	b.WriteString(referenceHead)
	given := defaults()
	for _, s := range sections() {
		fmt.Fprintf(&b, "\n## %s\n", s.title)
		if s.intro != "" {
			fmt.Fprintf(&b, "\n%s\n", s.intro)
		}
		b.WriteString("\n| Variable | Default | Value | Meaning |\n|---|---|---|---|\n")
		for _, v := range s.variables {
			value := "none"
			if d := given[v.name()]; d != "" {
				value = "`" + d + "`"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", v.name(), value, v.rule.accepts, v.doc)
		}
	}
	fmt.Fprintf(&b, referenceTail, ownFiles, unknownMemory/4)
	return b.String()
}

const referenceHead = `<!-- Written by strait config docs. Change package configs, then run: make docs -->

# Configuration

Strait is configured by environment variables whose names begin with ` + "`STRAIT_`" + `. They are read once, at start.

- ` + "`strait config`" + ` prints the configuration in effect and where each value comes from, ` + "`strait config check`" + ` only says whether it is valid, ` + "`strait config docs`" + ` prints this page.
- A variable that nobody knows, a value that is not allowed and a file that cannot be used stop the gateway at start. All problems are told at once, each by the variable's name with what would be right.
- A variable that is set to nothing has its default: what can be turned off is turned off by the word ` + "`off`" + `. Spaces around a value, and around the items of a list, do not count.
- The variables that Kubernetes sets for a service named ` + "`strait`" + ` (` + "`STRAIT_SERVICE_HOST`, `STRAIT_SERVICE_PORT`, `STRAIT_SERVICE_PORT_…`, `STRAIT_PORT`, `STRAIT_PORT_…`" + `) are ignored, with a log line. Those of a service whose name begins with ` + "`strait-`" + ` are refused as unknown: set ` + "`enableServiceLinks: false`" + ` in the pod's specification.
- No variable holds a secret: keys are named by their files. A URL with a password is refused, and messages do not repeat it.

Samples to start from: ` + "`configs/development.env` and `configs/production.env`" + `.
`

const referenceTail = `
## Open files

Every session and every connection that is still opening needs one open file, every stream to a backend up to two, and the gateway itself %d. At start this is held against the process's limit, the soft one, which Go raises to the hard one. ` + "`STRAIT_MAX_SESSIONS` and `STRAIT_MAX_HANDSHAKES`" + ` that do not fit are lowered, with a log line, where they are defaults, and refused where the environment gave them. Raise the hard limit with ` + "`LimitNOFILE=`" + ` in a systemd unit, ` + "`--ulimit nofile=`" + ` in Docker, or ` + "`ulimit -Hn`" + ` as root.

## Memory

` + "`STRAIT_BUFFER_BUDGET_BYTES=0`" + ` means a quarter of ` + "`GOMEMLIMIT`" + ` if that is set; else, on Linux, of the machine's memory or of the memory limit of the process's control group (version 2 or 1), whichever is less; else %d bytes. Go's own variables ` + "`GOMEMLIMIT` and `GOMAXPROCS`" + ` work as usual.
`
