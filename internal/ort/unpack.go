package ort

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/zeebo/xxh3"

	"optim/internal/ort/embedded"
)

// openEmbedded loads the library that is built in: from the cache folder, where
// the first use unpacks it, or, where that folder cannot be used, from a
// temporary one that is removed as soon as the library is loaded.
func openEmbedded(cacheDir string) (opened, error) {
	info, compressed, err := embedded.Library()
	if err != nil {
		return opened{}, err
	}
	return openPacked(info, compressed, cacheDir)
}

func openPacked(info embedded.Info, compressed []byte, cacheDir string) (opened, error) {
	lib, cacheErr := openCached(info, compressed, cacheDir)
	if cacheErr == nil {
		return lib, nil
	}
	dir, err := os.MkdirTemp("", "optim-ort-")
	if err != nil {
		return opened{}, fmt.Errorf("unpack the library that is built in: %w; %w", cacheErr, err)
	}
	remove := func() { os.RemoveAll(dir) }
	path := filepath.Join(dir, info.File)
	if err := unpack(path, info, compressed); err != nil {
		remove()
		return opened{}, fmt.Errorf("unpack the library that is built in: %w; %w", cacheErr, err)
	}
	if lib, err = openLibrary(path); err != nil {
		remove()
		return opened{}, fmt.Errorf("library that is built in: %w", err)
	}
	lib.cleanup = remove
	return lib, nil
}

// openCached loads the library from the cache, unpacking it when it is not
// there or damaged.
func openCached(info embedded.Info, compressed []byte, cacheDir string) (opened, error) {
	dir, err := cacheFolder(info, cacheDir)
	if err != nil {
		return opened{}, err
	}
	path := filepath.Join(dir, info.File)
	if intact(path, info) != nil {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return opened{}, err
		}
		removeStale(dir)
		if err := unpack(path, info, compressed); err != nil {
			return opened{}, err
		}
	}
	return openLibrary(path)
}

// cacheFolder names the folder of one library; its hash keeps builds apart.
func cacheFolder(info embedded.Info, cacheDir string) (string, error) {
	if cacheDir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		cacheDir = filepath.Join(user, "optim")
	}
	if len(info.SHA256) < 12 {
		return "", fmt.Errorf("bad hash %q", info.SHA256)
	}
	return filepath.Join(cacheDir, "ort-"+info.Version+"-"+info.SHA256[:12]), nil
}

// intact checks size and fast hash of an unpacked library. The hash guards
// against torn writes and bad disks; it takes about 10 ms, a SHA-256 ten times
// as long.
func intact(path string, info embedded.Info) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() || st.Size() != info.Size {
		return fmt.Errorf("%s: %d bytes instead of %d", path, st.Size(), info.Size)
	}
	h := xxh3.New()
	if _, err := io.CopyBuffer(h, struct{ io.Reader }{f}, make([]byte, 1<<20)); err != nil {
		return err
	}
	if h.Sum64() != info.XXH3 {
		return fmt.Errorf("%s: contents do not match", path)
	}
	return nil
}

// tempPrefix marks files that are being unpacked.
const tempPrefix = ".unpack-"

// unpack writes the library under a temporary name and renames it, so that any
// number of processes may do so at once and none ever sees half a file.
func unpack(path string, info embedded.Info, compressed []byte) (err error) {
	dec, err := zstd.NewReader(bytes.NewReader(compressed))
	if err != nil {
		return err
	}
	defer dec.Close()
	tmp, err := os.CreateTemp(filepath.Dir(path), tempPrefix)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			tmp.Close()
			os.Remove(tmp.Name())
		}
	}()
	h := xxh3.New()
	// One byte above the size is enough to notice that there is too much.
	n, err := io.Copy(io.MultiWriter(tmp, h), io.LimitReader(dec, info.Size+1))
	if err != nil {
		return err
	}
	if n != info.Size || h.Sum64() != info.XXH3 {
		return errors.New("the library that is built in is damaged")
	}
	if err := tmp.Chmod(0o700); err != nil {
		return err
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

// removeStale removes what a process that was killed while unpacking left. It
// is housekeeping: a file that cannot be removed does no harm.
func removeStale(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && strings.HasPrefix(e.Name(), tempPrefix) && time.Since(info.ModTime()) > time.Hour {
			os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}
