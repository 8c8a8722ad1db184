package gate

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"optim/internal/inspect"
	"optim/internal/measure"
	"optim/internal/onnx"
)

// OutputError is a target that cannot be written: an error of usage.
type OutputError struct {
	Path, Reason string
}

func (e *OutputError) Error() string { return fmt.Sprintf("output %q: %s", e.Path, e.Reason) }

// staging is a folder beside the target in which the result bears its final
// names, so that what it records of its external data is true after renaming.
type staging struct {
	target string // final path of the model
	folder string
	model  string // paths inside folder
	data   string
}

// newStaging refuses targets that must not be written, before any work.
func newStaging(target string, force bool, source *onnx.Model) (*staging, error) {
	info, err := os.Lstat(target)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, &OutputError{target, err.Error()}
	case info.IsDir():
		return nil, &OutputError{target, "it is a folder"}
	case !force:
		return nil, &OutputError{target, "it exists (give --force to overwrite it)"}
	}
	in, err := sourceFiles(source)
	if err != nil {
		return nil, err
	}
	for _, in := range in {
		if same(target, in) || same(target+".data", in) {
			return nil, &OutputError{target, fmt.Sprintf("it would overwrite the source's %q", in)}
		}
	}
	base := filepath.Base(target)
	folder, err := os.MkdirTemp(filepath.Dir(target), "."+base+".optim-*")
	if err != nil {
		return nil, &OutputError{target, "its folder cannot be written: " + reason(err)}
	}
	return &staging{target: target, folder: folder, model: filepath.Join(folder, base), data: filepath.Join(folder, base+".data")}, nil
}

// sourceFiles lists a model's file and its external data.
func sourceFiles(m *onnx.Model) ([]string, error) {
	s, err := inspect.Model(m, inspect.Options{})
	if err != nil {
		return nil, err
	}
	return append(s.External, m.Path), nil
}

// same reports whether two paths are one file; either may not exist.
func same(a, b string) bool {
	ia, errA := os.Stat(a)
	ib, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(ia, ib)
}

// reason strips the path that the message around it names already.
func reason(err error) string {
	var e *fs.PathError
	if errors.As(err, &e) {
		return e.Err.Error()
	}
	return err.Error()
}

// room refuses to begin writing what the disk cannot hold.
func (s *staging) room(m *onnx.Model) error {
	free, err := measure.DiskFree(s.folder)
	if err != nil || free < 0 {
		return nil // not known: writing will tell
	}
	need, err := inspect.Bytes(m)
	if err != nil || need <= free {
		return nil
	}
	return fmt.Errorf("output %q: the disk has %d bytes free, and the result needs about %d", s.target, free, need)
}

// describe words a failed write for the target instead of the temporary name.
func (s *staging) describe(err error) error {
	if errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("output %q: the disk is full", s.target)
	}
	var e *fs.PathError
	if errors.As(err, &e) {
		return fmt.Errorf("output %q: %w", s.target, e.Err)
	}
	return fmt.Errorf("output %q: %w", s.target, err)
}

// commit gives the files their final names, the data before the model that
// refers to it, and makes the renames durable.
func (s *staging) commit(external bool) error {
	data := s.target + ".data"
	if external {
		if err := os.Rename(s.data, data); err != nil {
			return s.describe(err)
		}
	}
	if err := os.Rename(s.model, s.target); err != nil {
		if external {
			os.Remove(data)
		}
		return s.describe(err)
	}
	dir, err := os.Open(filepath.Dir(s.target))
	if err != nil {
		return s.describe(err)
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, syscall.EINVAL) {
		return s.describe(err)
	}
	return nil
}

// remove deletes the staging folder with all that is still in it.
func (s *staging) remove() { os.RemoveAll(s.folder) }
