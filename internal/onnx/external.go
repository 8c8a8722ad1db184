package onnx

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"optim/internal/tensor"
)

// externals opens the external data files of one model. The locations are
// untrusted: every file is opened through an os.Root of the model's folder,
// which nothing can leave, whatever links are made meanwhile.
type externals struct {
	folder string
	root   *os.Root
	files  *files
	byName map[string]*mapping
}

// resolve maps the data of every tensor in list, which lies in files below
// folder.
func resolve(list []*Tensor, folder string, owner *files) error {
	if len(list) == 0 {
		return nil
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return fmt.Errorf("open folder: %w", pathless(err))
	}
	defer root.Close()
	x := &externals{folder: folder, root: root, files: owner, byName: map[string]*mapping{}}
	for _, t := range list {
		if err := x.place(t); err != nil {
			return t.errorf("external data: %w", err)
		}
	}
	return nil
}

// reference is the meaning of the external_data entries of a tensor.
type reference struct {
	location       string
	offset, length int64
	hasLength      bool
}

// parseReference reads the entries. Keys that are not known (a checksum) say
// nothing about where the data is.
func parseReference(entries []Property) (r reference, err error) {
	seen := map[string]bool{}
	for _, e := range entries {
		if seen[e.Key] {
			return r, fmt.Errorf("key %q occurs twice", e.Key)
		}
		seen[e.Key] = true
		switch e.Key {
		case "location":
			r.location = e.Value
		case "offset":
			r.offset, err = parseSize(e)
		case "length":
			r.hasLength = true
			r.length, err = parseSize(e)
		}
		if err != nil {
			return r, err
		}
	}
	if r.location == "" {
		return r, errors.New("location is missing")
	}
	return r, nil
}

func parseSize(e Property) (int64, error) {
	n, err := strconv.ParseInt(e.Value, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s %q is not a number", e.Key, e.Value)
	}
	if n < 0 {
		return 0, fmt.Errorf("%s %d is negative", e.Key, n)
	}
	return n, nil
}

// place checks the reference of t against its file, and makes t alias it.
func (x *externals) place(t *Tensor) error {
	if t.DType == tensor.String {
		return errors.New("strings cannot lie in external data")
	}
	r, err := parseReference(t.store.external)
	if err != nil {
		return err
	}
	need, err := t.Shape.Bytes(t.DType)
	if err != nil {
		return err
	}
	if r.hasLength && r.length != need {
		return fmt.Errorf("length is %d where %s %v needs %d", r.length, t.DType, t.Shape, need)
	}
	m, err := x.open(r.location)
	if err != nil {
		return fmt.Errorf("location %q: %w", r.location, err)
	}
	if size := int64(len(m.data)); r.offset > size || need > size-r.offset {
		return fmt.Errorf("location %q: %d bytes at offset %d lie beyond the end of a file of %d bytes",
			r.location, need, r.offset, size)
	}
	t.setRaw(m, r.offset, need)
	return nil
}

// open maps the file of a location, once.
func (x *externals) open(location string) (*mapping, error) {
	if m := x.byName[location]; m != nil {
		return m, nil
	}
	if filepath.IsAbs(location) {
		return nil, errors.New("is an absolute path")
	}
	if !filepath.IsLocal(location) {
		return nil, errors.New("leads out of the model's folder")
	}
	f, err := x.root.OpenFile(location, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		f, err = x.openLink(location, err)
	}
	if err != nil {
		return nil, err
	}
	f, info, err := checkOpened(f)
	if err != nil {
		return nil, err
	}
	m, err := mapFile(f, info, filepath.Join(x.folder, location))
	if err != nil {
		return nil, err
	}
	x.files.add(m)
	x.byName[location] = m
	return m, nil
}

// openLink opens a location that os.Root refused with err: it follows no
// absolute links, not even those that stay inside. Where the target does, its
// own name is tried, through the root again.
func (x *externals) openLink(location string, err error) (*os.File, error) {
	err = pathless(err)
	target, e1 := filepath.EvalSymlinks(filepath.Join(x.folder, location))
	folder, e2 := filepath.EvalSymlinks(x.folder)
	if e1 != nil || e2 != nil {
		return nil, err
	}
	// Both are made absolute, since a link's target may be and the folder not.
	target, e1 = filepath.Abs(target)
	folder, e2 = filepath.Abs(folder)
	rel, e3 := filepath.Rel(folder, target)
	if e1 != nil || e2 != nil || e3 != nil {
		return nil, err
	}
	if !filepath.IsLocal(rel) {
		return nil, errors.New("is a symbolic link that leads out of the model's folder")
	}
	f, e := x.root.OpenFile(rel, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if e != nil {
		return nil, pathless(e)
	}
	return f, nil
}
