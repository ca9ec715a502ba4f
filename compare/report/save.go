package report

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// Save writes a file whole or not at all: into a temporary file beside it, which
// takes its name when everything is on the disk. What was there before stays until
// then. The directory exists.
func Save(name string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return fmt.Errorf("report %s cannot be written: %w", name, err)
	}
	defer func() {
		if err != nil {
			_ = f.Close() // closed before, if the error came later
			_ = os.Remove(f.Name())
			err = fmt.Errorf("report %s was not written: %w", name, err)
		}
	}()
	w := bufio.NewWriterSize(f, 64<<10)
	if err := write(w); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

// SaveMarkdown writes the report as Markdown, with its pictures in the folder of the
// same name without its extension, which it makes. The text comes last, so that it
// never refers to what is not there.
func (r *Report) SaveMarkdown(name string) error {
	base := filepath.Base(name)
	folder := base[:len(base)-len(filepath.Ext(base))]
	if folder == "" || folder == base {
		folder = base + ".pictures"
	}
	text, files := r.Page().Markdown(folder)
	dir := filepath.Join(filepath.Dir(name), folder)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("report %s cannot be written: %w", name, err)
	}
	for _, picture := range slices.Sorted(maps.Keys(files)) {
		if err := Save(filepath.Join(dir, picture), content(files[picture])); err != nil {
			return err
		}
	}
	return Save(name, content(text))
}

func content(s string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, s)
		return err
	}
}
