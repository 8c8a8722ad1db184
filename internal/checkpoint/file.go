package checkpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// folder is a checkpoint's folder. Its files are opened through an os.Root,
// which nothing can leave, whatever links are made meanwhile.
type folder struct {
	root *os.Root
	sub  string // of the root; empty: the root itself
}

// openFolder opens dir. A folder in the cache of Hugging Face's hub holds links
// into a folder beside it (snapshots/REVISION/… → ../../blobs/…): there the
// folder above both is what may not be left.
func openFolder(dir string) (*folder, error) {
	top, sub := dir, ""
	if abs, err := filepath.Abs(dir); err == nil && filepath.Base(filepath.Dir(abs)) == "snapshots" {
		up := filepath.Dir(filepath.Dir(abs))
		if info, err := os.Stat(filepath.Join(up, "blobs")); err == nil && info.IsDir() {
			top, sub = up, filepath.Join("snapshots", filepath.Base(abs))
		}
	}
	root, err := os.OpenRoot(top)
	if err != nil {
		return nil, pathless(err)
	}
	return &folder{root, sub}, nil
}

// open opens a regular file of the folder. It never blocks.
func (d *folder) open(name string) (*os.File, fs.FileInfo, error) {
	if !filepath.IsLocal(name) {
		return nil, nil, fmt.Errorf("file %q leads out of the folder", name)
	}
	f, err := d.root.OpenFile(filepath.Join(d.sub, name), os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("file %q: %w", name, pathless(err))
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("is no regular file")
	}
	if err != nil {
		f.Close()
		return nil, nil, fmt.Errorf("file %q: %w", name, pathless(err))
	}
	return f, info, nil
}

// readJSON decodes a file of the folder; found is false if it is not there.
func (d *folder) readJSON(name string, v any) (found bool, err error) {
	f, info, err := d.open(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	}
	defer f.Close()
	if info.Size() > maxHeader {
		return true, fmt.Errorf("file %q: %d bytes are more than %d", name, info.Size(), maxHeader)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxHeader))
	if err != nil {
		return true, fmt.Errorf("file %q: %w", name, pathless(err))
	}
	if err := json.Unmarshal(b, v); err != nil {
		return true, fmt.Errorf("file %q: %w", name, err)
	}
	return true, nil
}

// weightFiles returns the files that hold the weights, and for a checkpoint in
// several which tensor lies in which.
func (d *folder) weightFiles() (names []string, where map[string]string, err error) {
	const single, list = "model.safetensors", "model.safetensors.index.json"
	var index struct {
		WeightMap map[string]string `json:"weight_map"`
	}
	found, err := d.readJSON(list, &index)
	if err != nil {
		return nil, nil, err
	}
	if found {
		if len(index.WeightMap) == 0 {
			return nil, nil, fmt.Errorf("file %q has no weight_map", list)
		}
		for _, name := range index.WeightMap {
			names = append(names, name)
		}
		slices.Sort(names)
		return slices.Compact(names), index.WeightMap, nil
	}
	dir, err := d.root.Open(filepath.Join(".", d.sub))
	if err != nil {
		return nil, nil, pathless(err)
	}
	defer dir.Close()
	entries, err := dir.ReadDir(-1)
	if err != nil {
		return nil, nil, pathless(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".safetensors") {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	switch {
	case slices.Contains(names, single):
		return []string{single}, nil, nil
	case len(names) == 1:
		return names, nil, nil
	case len(names) == 0:
		return nil, nil, errors.New("no file *.safetensors is in the folder")
	}
	return nil, nil, fmt.Errorf("several files (%s) without %s to say what they hold", strings.Join(names, ", "), list)
}

// file is a mapped safetensors file.
type file struct {
	data    []byte
	closed  bool
	tensors []*Tensor
}

// mapFile maps a file of the folder and reads its header.
func (d *folder) mapFile(name string) (*file, error) {
	f, info, err := d.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	m := &file{}
	if size := info.Size(); size > 0 {
		if int64(int(size)) != size {
			return nil, fmt.Errorf("file %q: %d bytes cannot be mapped on this platform", name, size)
		}
		if m.data, err = unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_SHARED); err != nil {
			return nil, fmt.Errorf("file %q: map: %w", name, err)
		}
	}
	if m.tensors, err = parse(m.data); err != nil {
		m.close()
		return nil, fmt.Errorf("file %q: %w", name, err)
	}
	for _, t := range m.tensors {
		t.file = m
	}
	return m, nil
}

func (m *file) close() error {
	data := m.data
	m.data, m.closed = nil, true
	if len(data) == 0 {
		return nil
	}
	return unix.Munmap(data)
}

// release gives back the pages that lie wholly within b, a part of the file.
func (m *file) release(b []byte) {
	if len(b) == 0 {
		return
	}
	page := uintptr(os.Getpagesize())
	base, at := uintptr(unsafe.Pointer(&m.data[0])), uintptr(unsafe.Pointer(&b[0]))
	lo := (at - base + page - 1) / page * page
	hi := (at - base + uintptr(len(b))) / page * page
	if hi > lo {
		// Only a hint: if it fails, the pages stay until memory is short.
		_ = unix.Madvise(m.data[lo:hi], unix.MADV_DONTNEED)
	}
}

// pathless strips the path and the operation from a file error: the caller
// names the file.
func pathless(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
