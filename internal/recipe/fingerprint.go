package recipe

import (
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/zeebo/xxh3"
)

// Fingerprint identifies data: the bytes of a file, or names and bytes of the
// files in a folder. A source that is no path ("random") is its own.
func Fingerprint(source string) (string, error) {
	info, err := os.Stat(source)
	if os.IsNotExist(err) && filepath.Base(source) == source && filepath.Ext(source) == "" {
		return source, nil
	}
	if err != nil {
		return "", err
	}
	h := xxh3.New128()
	if !info.IsDir() {
		err = hashFile(h, source, info)
	} else {
		err = filepath.WalkDir(source, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			rel, err := filepath.Rel(source, path)
			if err != nil {
				return err
			}
			fmt.Fprintf(h, "%q;", filepath.ToSlash(rel))
			info, err := os.Stat(path)
			if err != nil {
				return err
			}
			return hashFile(h, path, info)
		})
	}
	if err != nil {
		return "", err
	}
	sum := h.Sum128().Bytes()
	return hex.EncodeToString(sum[:]), nil
}

// hashFile adds a regular file's bytes; anything else, a pipe for instance,
// would block or never end.
func hashFile(w io.Writer, path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s: not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}
