package main

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"path/filepath"
	"strings"
)

// candidate is one way to get the library for a platform.
type candidate struct {
	Platform      string // GOOS/GOARCH
	Source        string // "npm" or "pip"
	Package       string // as the source's client takes it
	ArchiveSHA256 string
	Member        string // path of the library in the archive
	LibrarySHA256 string
	File          string // name in lib
}

// lock is the contents of ort.lock.
type lock struct {
	Version    string
	Candidates []candidate
}

// parseLock reads a lock file strictly: what it pins is code that will run.
func parseLock(r io.Reader) (lock, error) {
	var l lock
	sc := bufio.NewScanner(r)
	for n := 1; sc.Scan(); n++ {
		f := strings.Fields(sc.Text())
		switch {
		case len(f) == 0 || strings.HasPrefix(f[0], "#"):
		case len(f) == 2 && f[0] == "version" && l.Version == "":
			l.Version = f[1]
		case len(f) == 7:
			c := candidate{f[0], f[1], f[2], f[3], f[4], f[5], f[6]}
			if err := c.validate(); err != nil {
				return l, fmt.Errorf("line %d: %w", n, err)
			}
			l.Candidates = append(l.Candidates, c)
		default:
			return l, fmt.Errorf("line %d: %d fields", n, len(f))
		}
	}
	if err := sc.Err(); err != nil {
		return l, err
	}
	if l.Version == "" || len(l.Candidates) == 0 {
		return l, fmt.Errorf("no version, or no candidate")
	}
	return l, nil
}

func (c candidate) validate() error {
	for _, h := range []string{c.ArchiveSHA256, c.LibrarySHA256} {
		if b, err := hex.DecodeString(h); err != nil || len(b) != 32 {
			return fmt.Errorf("%q is no sha-256", h)
		}
	}
	if c.Source != "npm" && c.Source != "pip" {
		return fmt.Errorf("unknown source %q (npm, pip)", c.Source)
	}
	if c.Source == "pip" && strings.Count(c.Package, "!") != 3 {
		return fmt.Errorf("%q is not package!python!abi!platform", c.Package)
	}
	if c.File != filepath.Base(c.File) || !filepath.IsLocal(c.File) {
		return fmt.Errorf("%q is no plain file name", c.File)
	}
	return nil
}

// platform returns the candidates for one platform.
func (l lock) platform(name string) []candidate {
	var out []candidate
	for _, c := range l.Candidates {
		if c.Platform == name {
			out = append(out, c)
		}
	}
	return out
}
