package quic

import (
	"bufio"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	quicgo "github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/qlog"
	"github.com/quic-go/quic-go/qlogwriter"
)

// traces writes one connection in every as a file in the qlog format.
type traces struct {
	dir     string
	every   uint64
	log     *slog.Logger
	seen    atomic.Uint64
	writing sync.WaitGroup
}

// begin is quic-go asking for a connection's trace.
func (t *traces) begin(_ context.Context, isClient bool, id quicgo.ConnectionID) qlogwriter.Trace {
	if t.seen.Add(1)%t.every != 1%t.every {
		return nil
	}
	f, err := os.OpenFile(filepath.Join(t.dir, id.String()+"_server.sqlog"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o640)
	if err != nil {
		t.log.Warn("cannot write a connection's trace", "err", err)
		return nil
	}
	trace := qlogwriter.NewConnectionFileSeq(&traceFile{Writer: bufio.NewWriter(f), file: f}, isClient, id, []string{qlog.EventSchema})
	t.writing.Go(trace.Run)
	return trace
}

// wait returns when all traces are written; their connections have ended.
func (t *traces) wait() {
	if t != nil {
		t.writing.Wait()
	}
}

type traceFile struct {
	*bufio.Writer
	file *os.File
}

func (f *traceFile) Close() error { return errors.Join(f.Flush(), f.file.Close()) }
