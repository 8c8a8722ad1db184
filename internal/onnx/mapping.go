package onnx

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// errClosed says that a tensor's bytes lay in a file that Close has unmapped.
var errClosed = errors.New("the model is closed")

// mapping is a file mapped for reading, or a plain byte slice (path empty).
// Tensors refer to it by offset, so that after close they fail with an error
// where they would otherwise touch memory that is gone.
type mapping struct {
	path   string      // absolute, symbolic links resolved; empty: not a file
	info   fs.FileInfo // identity of the file; nil: not a file
	data   []byte
	closed bool
}

// files is the set of mappings of one model.
type files struct {
	mu   sync.Mutex
	maps []*mapping
	once sync.Once
}

// add makes the set own m.
func (f *files) add(m *mapping) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.maps = append(f.maps, m)
}

// close unmaps every file of the set, once.
func (f *files) close() (err error) {
	f.once.Do(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, m := range f.maps {
			err = errors.Join(err, m.close())
		}
	})
	return err
}

// openRegular opens a file for reading and refuses anything but a regular
// file. It never blocks: a FIFO is refused before it would be waited for.
func openRegular(path string) (*os.File, fs.FileInfo, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, pathless(err)
	}
	if err := wantRegular(info); err != nil {
		return nil, nil, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, pathless(err)
	}
	return checkOpened(f)
}

// checkOpened repeats the check on the open file, which can no longer change
// under us. It closes f on error.
func checkOpened(f *os.File) (*os.File, fs.FileInfo, error) {
	info, err := f.Stat()
	if err == nil {
		err = wantRegular(info)
	}
	if err != nil {
		f.Close()
		return nil, nil, pathless(err)
	}
	return f, info, nil
}

// wantRegular names what a file is if it is not a regular one.
func wantRegular(info fs.FileInfo) error {
	what := ""
	switch mode := info.Mode(); {
	case mode.IsRegular():
		return nil
	case mode.IsDir():
		what = "a directory"
	case mode&fs.ModeNamedPipe != 0:
		what = "a FIFO"
	case mode&fs.ModeDevice != 0:
		what = "a device"
	case mode&fs.ModeSocket != 0:
		what = "a socket"
	default:
		what = "a special file"
	}
	return fmt.Errorf("is %s, not a regular file", what)
}

// pathless strips the path and the operation from a file error: the caller's
// context names the file already.
func pathless(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// mapFile maps f whole and closes it. An empty file gives an empty mapping.
func mapFile(f *os.File, info fs.FileInfo, path string) (*mapping, error) {
	defer f.Close()
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		abs = real
	}
	m := &mapping{path: abs, info: info}
	size := info.Size()
	if size == 0 {
		return m, nil
	}
	if int64(int(size)) != size {
		return nil, fmt.Errorf("%d bytes cannot be mapped on this platform", size)
	}
	m.data, err = unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map: %w", err)
	}
	return m, nil
}

// slice returns n bytes at off, which were checked when they were read.
func (m *mapping) slice(off, n int64) ([]byte, error) {
	if n == 0 {
		return nil, nil
	}
	if off < 0 || n < 0 || off > int64(len(m.data))-n {
		return nil, errClosed
	}
	return m.data[off : off+n : off+n], nil
}

// release gives the pages that lie wholly within the range back to the system;
// they are read again from the file when they are touched again.
func (m *mapping) release(off, n int64) {
	if m.path == "" || off < 0 || n <= 0 || off > int64(len(m.data))-n {
		return
	}
	page := int64(os.Getpagesize())
	lo := (off + page - 1) / page * page
	hi := (off + n) / page * page
	if hi > lo {
		// Only a hint: if it fails, the pages stay until memory is short.
		_ = unix.Madvise(m.data[lo:hi], unix.MADV_DONTNEED)
	}
}

func (m *mapping) close() error {
	data := m.data
	m.data, m.closed = nil, true
	if m.path == "" || len(data) == 0 {
		return nil
	}
	if err := unix.Munmap(data); err != nil {
		return fmt.Errorf("%s: unmap: %w", m.path, err)
	}
	return nil
}
