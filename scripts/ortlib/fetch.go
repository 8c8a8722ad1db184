package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// maxLibrary bounds what is unpacked, whatever an archive claims.
const maxLibrary = 1 << 30

// download fetches an archive into dir and returns its path.
type download func(c candidate, dir string) (string, error)

// fetch puts the library into dir and returns its path. A library that is
// already there with the right hash is kept, and nothing is downloaded.
func fetch(list []candidate, dir string, get download) (path string, fresh bool, err error) {
	for _, c := range list {
		path := filepath.Join(dir, c.File)
		if sum, err := hashFile(path); err == nil && sum == c.LibrarySHA256 {
			return path, false, nil
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", false, err
	}
	var failed []error
	for _, c := range list {
		path, err := fetchOne(c, dir, get)
		if err == nil {
			return path, true, nil
		}
		failed = append(failed, fmt.Errorf("%s %s: %w", c.Source, c.Package, err))
	}
	return "", false, errors.Join(failed...)
}

// fetchOne downloads one candidate into a folder of its own beside the target,
// so that the last step is a rename.
func fetchOne(c candidate, dir string, get download) (string, error) {
	tmp, err := os.MkdirTemp(dir, ".fetch-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	archive, err := get(c, tmp)
	if err != nil {
		return "", err
	}
	sum, err := hashFile(archive)
	if err != nil {
		return "", err
	}
	if sum != c.ArchiveSHA256 {
		return "", fmt.Errorf("archive has sha-256 %s, ort.lock wants %s", sum, c.ArchiveSHA256)
	}
	part := filepath.Join(tmp, "library")
	if err := extract(archive, c.Member, part); err != nil {
		return "", err
	}
	if sum, err = hashFile(part); err != nil {
		return "", err
	}
	if sum != c.LibrarySHA256 {
		return "", fmt.Errorf("%s has sha-256 %s, ort.lock wants %s", c.Member, sum, c.LibrarySHA256)
	}
	path := filepath.Join(dir, c.File)
	return path, os.Rename(part, path)
}

// fromRegistry downloads with the registry's own client.
func fromRegistry(c candidate, dir string) (string, error) {
	var cmd *exec.Cmd
	switch c.Source {
	case "npm":
		cmd = exec.Command("npm", "pack", c.Package, "--ignore-scripts", "--silent", "--pack-destination", dir)
	default:
		p := strings.Split(c.Package, "!")
		cmd = exec.Command("python3", "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
			"--only-binary=:all:", "--implementation", "cp", "--python-version", p[1], "--abi", p[2], "--platform", p[3],
			"--dest", dir, p[0])
	}
	cmd.Stdout = io.Discard
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		if said := lastLine(stderr.String()); said != "" {
			return "", fmt.Errorf("%s: %w: %s", cmd.Args[0], err, said)
		}
		return "", fmt.Errorf("%s: %w", cmd.Args[0], err)
	}
	found, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	if len(found) != 1 {
		return "", fmt.Errorf("%s left %d files", cmd.Args[0], len(found))
	}
	return filepath.Join(dir, found[0].Name()), nil
}

// fromFile takes an archive that was downloaded by other means.
func fromFile(path string) download {
	return func(candidate, string) (string, error) { return path, nil }
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndexByte(s, '\n')+1:]
}

// extract copies one member of a .tgz or .whl to dst.
func extract(archive, member, dst string) error {
	if strings.HasSuffix(archive, ".whl") || strings.HasSuffix(archive, ".zip") {
		z, err := zip.OpenReader(archive)
		if err != nil {
			return err
		}
		defer z.Close()
		f, err := z.Open(member)
		if err != nil {
			return err
		}
		defer f.Close()
		return save(dst, f)
	}
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	gz, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	for tr := tar.NewReader(gz); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return fmt.Errorf("no %q in the archive", member)
		}
		if err != nil {
			return err
		}
		if h.Name == member && h.Typeflag == tar.TypeReg {
			return save(dst, tr)
		}
	}
}

func save(path string, r io.Reader) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	n, err := io.Copy(f, io.LimitReader(r, maxLibrary+1))
	if err == nil && n > maxLibrary {
		err = fmt.Errorf("library above %d bytes", maxLibrary)
	}
	return errors.Join(err, f.Close())
}

func hashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
