package ort

import (
	"bufio"
	"bytes"
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
	files := wanted(paths)
	list, err := mappings("/proc/self/maps", files)
	if err != nil || len(list) == 0 {
		return 0
	}
	if anyWritable(list) {
		// Only smaps tells whether a writable mapping is clean; it is dearer.
		if list, err = mappings("/proc/self/smaps", files); err != nil {
			return 0
		}
	}
	var released int64
	for _, m := range list {
		if m.dirty {
			continue
		}
		if m.release() == nil {
			released += int64(m.end - m.start)
		}
	}
	return released
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
	dirty      bool // pages of it are no longer the file's, or that is unknown
}

func (m mapping) release() error {
	// Not unix.Madvise: it wants a slice, and this memory is not Go's.
	_, _, errno := unix.Syscall(unix.SYS_MADVISE, m.start, m.end-m.start, unix.MADV_DONTNEED)
	if errno != 0 {
		return errno
	}
	return nil
}

func anyWritable(list []mapping) bool {
	for _, m := range list {
		if m.writable {
			return true
		}
	}
	return false
}

// mappings reads the private mappings of the files from maps or smaps. From
// maps alone every writable mapping counts as dirty.
func mappings(path string, files fileSet) ([]mapping, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parseMappings(raw, files)
}

func parseMappings(raw []byte, files fileSet) ([]mapping, error) {
	var out []mapping
	mine := false // the lines are about the last mapping of out
	sc := bufio.NewScanner(bytes.NewReader(raw))
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		line := sc.Text()
		if m, ok := parseMapping(line); ok {
			mine = m.end > m.start && files.has(m)
			if mine {
				out = append(out, m)
			}
			continue
		}
		// "Anonymous:  12 kB" counts the pages that were copied on write.
		if size, ok := strings.CutPrefix(line, "Anonymous:"); ok && mine {
			f := strings.Fields(size)
			out[len(out)-1].dirty = len(f) == 0 || f[0] != "0"
		}
	}
	return out, sc.Err()
}

// parseMapping reads "55d0-55d1 rw-p 00000000 08:01 1234   /path"; it is false
// for the lines of attributes in smaps, "Rss:  4 kB".
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
	m.dirty = m.writable
	if i := strings.IndexByte(line, '/'); i >= 0 { // no field before the path has one
		m.path = line[i:]
	}
	return m, true
}
