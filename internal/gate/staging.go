package gate

import (
	"context"
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

// staging is a folder beside the target in which the result bears its final
// names, so that what it records of its external data is true after renaming.
type staging struct {
	Target
	folder string
	model  string // paths inside folder
	weight string
}

// newStaging refuses targets that must not be written, before any work.
func newStaging(t Target, source *onnx.Model) (*staging, error) {
	in, err := inspect.Files(source)
	if err != nil {
		return nil, err
	}
	if err := t.Check(in); err != nil {
		return nil, err
	}
	base := filepath.Base(t.Path)
	folder, err := os.MkdirTemp(filepath.Dir(t.Path), "."+base+".optim-*")
	if err != nil {
		return nil, &OutputError{t.Path, "cannot be written: " + reason(err), ""}
	}
	return &staging{Target: t, folder: folder, model: filepath.Join(folder, base), weight: filepath.Join(folder, base+".data")}, nil
}

// options are those of writing m into the folder.
func (s *staging) options() onnx.WriteOptions {
	return onnx.WriteOptions{External: s.External, DataPath: s.weight}
}

// room refuses to begin writing what the disk cannot hold.
func (s *staging) room(m *onnx.Model) error {
	need, err := m.WrittenSize(s.model, s.options())
	if err != nil {
		return s.describe(err)
	}
	free, err := measure.DiskFree(s.folder)
	if err != nil || free < 0 || need <= free {
		return nil // not known, or enough: writing will tell
	}
	return fmt.Errorf("output %q: the disk has %d bytes free, and the result needs %d", s.Path, free, need)
}

// describe words a failed write for the target instead of the temporary name.
func (s *staging) describe(err error) error {
	var target *OutputError
	var errno syscall.Errno
	switch {
	case errors.As(err, &target), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("output %q: the disk is full", s.Path)
	case errors.As(err, &errno):
		return fmt.Errorf("output %q: %w", s.Path, errno)
	}
	return fmt.Errorf("output %q: %w", s.Path, err)
}

// commit gives the files their final names, the data before the model that
// refers to it, and makes the renames durable. On error the target is as it
// was.
func (s *staging) commit(external bool) error {
	folder, err := os.Open(filepath.Dir(s.Path))
	if err != nil {
		return s.describe(err)
	}
	defer folder.Close()
	lock(folder)
	if err := s.Check(nil); err != nil {
		return err
	}
	stale := s.Force && !external && s.ownsData()
	undo, err := s.placeData(external)
	if err != nil {
		return s.describe(err)
	}
	if err := s.place(s.model, s.Path); err != nil {
		return s.describe(errors.Join(err, undo()))
	}
	if stale {
		err = os.Remove(s.data())
	}
	if e := folder.Sync(); e != nil && !errors.Is(e, errors.ErrUnsupported) && !errors.Is(e, syscall.EINVAL) {
		err = errors.Join(err, e)
	}
	if err != nil {
		return s.describe(err)
	}
	return nil
}

// placeData gives the data file its name; undo brings back what stood there.
func (s *staging) placeData(external bool) (undo func() error, err error) {
	if !external {
		return func() error { return nil }, nil
	}
	old := filepath.Join(s.folder, "old")
	undo = func() error { return os.Remove(s.data()) }
	if s.Force {
		switch err := os.Rename(s.data(), old); {
		case err == nil:
			undo = func() error { return os.Rename(old, s.data()) }
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
	}
	if err := s.place(s.weight, s.data()); err != nil {
		if s.Force {
			err = errors.Join(err, restore(old, s.data()))
		}
		return nil, err
	}
	return undo, nil
}

// restore undoes a renaming, if there was one.
func restore(from, to string) error {
	err := os.Rename(from, to)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// place gives a staged file its final name. Without force it never replaces a
// file, not even one that another process made a moment ago: linking fails
// where renaming would overwrite.
func (s *staging) place(from, to string) error {
	if s.Force {
		return os.Rename(from, to)
	}
	err := os.Link(from, to)
	if err == nil {
		return nil // the other name goes with the folder
	}
	if taken := s.free(to); taken != nil {
		return taken
	}
	// A file system without hard links.
	return os.Rename(from, to)
}

// remove deletes the staging folder with all that is still in it.
func (s *staging) remove() { os.RemoveAll(s.folder) }
