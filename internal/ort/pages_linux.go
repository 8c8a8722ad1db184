package ort

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ReleasePages gives back the resident pages of all private mappings of the
// named files in this process, and returns how many bytes were mapped so. The
// contents stay readable: they come from the file again. A mapping of which
// any page was written is left alone, since that page is not in the file. (ONNX
// Runtime maps external data copy-on-write, and never writes to weights.)
func ReleasePages(paths ...string) int64 {
	list, err := mappings(wanted(paths))
	if err != nil || len(list) == 0 {
		return 0
	}
	pages, err := os.Open("/proc/self/pagemap")
	if err != nil {
		return 0
	}
	defer pages.Close()
	var released int64
	for _, m := range list {
		if m.writable && written(pages, m) {
			continue
		}
		if m.release() == nil {
			released += int64(m.end - m.start)
		}
	}
	return released
}

// Bits of an entry of pagemap (Documentation/admin-guide/mm/pagemap.rst of Linux).
const (
	pagePresent = 1 << 63
	pageSwapped = 1 << 62
	pageOfFile  = 1 << 61
)

// written reports whether a page of a mapping is no longer the file's, or that cannot be
// told. Entries of pagemap are looked at for the mapping alone: smaps, which tells the same,
// goes through all memory of the process, which took 24 ms where this takes two.
func written(pages *os.File, m mapping) bool {
	const entry = 8
	page := uintptr(os.Getpagesize())
	buf := make([]byte, 64<<10)
	for at, end := m.start/page*entry, m.end/page*entry; at < end; {
		n, err := pages.ReadAt(buf[:min(end-at, uintptr(len(buf)))], int64(at))
		if n < entry {
			return err != nil
		}
		for i := 0; i+entry <= n; i += entry {
			bits := binary.NativeEndian.Uint64(buf[i:])
			if bits&pageSwapped != 0 || bits&pagePresent != 0 && bits&pageOfFile == 0 {
				return true
			}
		}
		at += uintptr(n / entry * entry)
	}
	return false
}

// fileID identifies a file, whatever its path.
type fileID struct{ dev, ino uint64 }

// fileSet is a set of files, each by identity and by path: file systems that
// are stacked on others show another device in maps than stat does.
type fileSet struct {
	ids   map[fileID]bool
	paths map[string]bool
}

func wanted(paths []string) fileSet {
	s := fileSet{ids: map[fileID]bool{}, paths: map[string]bool{}}
	for _, p := range paths {
		var st unix.Stat_t
		if unix.Stat(p, &st) != nil {
			continue
		}
		s.ids[fileID{uint64(st.Dev), st.Ino}] = true
		abs, err := filepath.Abs(p)
		if err != nil {
			continue
		}
		if real, err := filepath.EvalSymlinks(abs); err == nil {
			s.paths[real] = true
		}
	}
	return s
}

func (s fileSet) has(m mapping) bool {
	return m.private && (s.ids[m.file] || s.paths[m.path])
}

// mapping is one line of maps.
type mapping struct {
	start, end uintptr
	file       fileID
	path       string
	private    bool // copy on write, and readable
	writable   bool
}

func (m mapping) release() error {
	// Not unix.Madvise: it wants a slice, and this memory is not Go's.
	_, _, errno := unix.Syscall(unix.SYS_MADVISE, m.start, m.end-m.start, unix.MADV_DONTNEED)
	if errno != 0 {
		return errno
	}
	return nil
}

// mappings lists the private mappings of the files in this process.
func mappings(files fileSet) ([]mapping, error) {
	raw, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return nil, err
	}
	return parseMappings(raw, files)
}

func parseMappings(raw []byte, files fileSet) ([]mapping, error) {
	var out []mapping
	sc := bufio.NewScanner(bytes.NewReader(raw))
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		if m, ok := parseMapping(sc.Text()); ok && m.end > m.start && files.has(m) {
			out = append(out, m)
		}
	}
	return out, sc.Err()
}

// parseMapping reads "55d0-55d1 rw-p 00000000 08:01 1234   /path", a line of
// maps.
func parseMapping(line string) (mapping, bool) {
	var m mapping
	f := strings.Fields(line)
	if len(f) < 5 || len(f[1]) != 4 {
		return m, false
	}
	from, to, ok := strings.Cut(f[0], "-")
	start, err1 := strconv.ParseUint(from, 16, 64)
	end, err2 := strconv.ParseUint(to, 16, 64)
	major, minor, ok2 := strings.Cut(f[3], ":")
	maj, err3 := strconv.ParseUint(major, 16, 32)
	mnr, err4 := strconv.ParseUint(minor, 16, 32)
	ino, err5 := strconv.ParseUint(f[4], 10, 64)
	if !ok || !ok2 || errors.Join(err1, err2, err3, err4, err5) != nil {
		return m, false
	}
	m = mapping{
		start:    uintptr(start),
		end:      uintptr(end),
		file:     fileID{unix.Mkdev(uint32(maj), uint32(mnr)), ino},
		private:  f[1][0] == 'r' && f[1][3] == 'p',
		writable: f[1][1] == 'w',
	}
	if i := strings.IndexByte(line, '/'); i >= 0 { // no field before the path has one
		m.path = line[i:]
	}
	return m, true
}
