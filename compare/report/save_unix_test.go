//go:build unix

package report_test

import (
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"strait/compare/report"
)

// A full disk is an error that says so, and leaves nothing behind. The limit of the
// process on the size of files stands in for the disk.
func TestSaveOnAFullDisk(t *testing.T) {
	dir := t.TempDir()
	var before syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before))
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 100_000, Max: before.Max}))
	defer func() { require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before)) }()
	err := report.Save(filepath.Join(dir, "report.json"), func(w io.Writer) error {
		_, err := w.Write(make([]byte, 1<<20))
		return err
	})
	require.ErrorIs(t, err, syscall.EFBIG)
	require.ErrorContains(t, err, "was not written")
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, entries)
}
