package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/zeebo/xxh3"

	"optim/internal/ort/embedded"
)

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

func tgz(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var buf bytes.Buffer
	gz := gzip.NewWriter(&buf)
	tw := tar.NewWriter(gz)
	for name, body := range files {
		h := &tar.Header{Name: name, Mode: 0o644, Size: int64(len(body)), Typeflag: tar.TypeReg}
		if err := tw.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write([]byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(tw.Close(), gz.Close()); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func whl(t *testing.T, name, body string) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	w, err := z.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(body)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// give is a download that writes the given archive and counts its calls.
func give(t *testing.T, name string, archive []byte, calls *int) download {
	return func(_ candidate, dir string) (string, error) {
		*calls++
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, archive, 0o600); err != nil {
			t.Fatal(err)
		}
		return path, nil
	}
}

func TestFetch(t *testing.T) {
	const body = "the library"
	for name, archive := range map[string][]byte{
		"a.tgz": tgz(t, map[string]string{"package/x": "other", "package/lib.so": body}),
		"a.whl": whl(t, "package/lib.so", body),
	} {
		dir := filepath.Join(t.TempDir(), "lib")
		list := []candidate{{"os/arch", "npm", "p", sum(archive), "package/lib.so", sum([]byte(body)), "lib.so.1"}}
		calls := 0
		for round, fresh := range []bool{true, false} {
			path, got, err := fetch(list, dir, give(t, name, archive, &calls))
			if err != nil || got != fresh {
				t.Fatalf("%s round %d: fresh %v, error %v", name, round, got, err)
			}
			if b, err := os.ReadFile(path); err != nil || string(b) != body {
				t.Errorf("%s: library is %q, %v", name, b, err)
			}
		}
		if calls != 1 {
			t.Errorf("%s: %d downloads", name, calls)
		}
		// A damaged library is replaced.
		if err := os.WriteFile(filepath.Join(dir, "lib.so.1"), []byte("damaged"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, fresh, err := fetch(list, dir, give(t, name, archive, &calls)); err != nil || !fresh {
			t.Errorf("%s: damaged library: fresh %v, error %v", name, fresh, err)
		}
	}
}

func TestFetchRefuses(t *testing.T) {
	archive := tgz(t, map[string]string{"lib.so": "x"})
	good := candidate{"os/arch", "npm", "p", sum(archive), "lib.so", sum([]byte("x")), "lib.so"}
	badArchive, badLibrary, badMember := good, good, good
	badArchive.ArchiveSHA256 = sum(nil)
	badLibrary.LibrarySHA256 = sum(nil)
	badMember.Member = "nowhere"
	for _, c := range []struct {
		want string
		c    candidate
		data []byte
	}{
		{"archive has sha-256", badArchive, archive},
		{"lib.so has sha-256", badLibrary, archive},
		{`no "nowhere"`, badMember, archive},
		{"archive has sha-256", good, archive[:len(archive)-1]},
	} {
		dir, calls := t.TempDir(), 0
		_, _, err := fetch([]candidate{c.c}, dir, give(t, "a.tgz", c.data, &calls))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
		left, err := os.ReadDir(dir)
		if err != nil || len(left) != 0 {
			t.Errorf("%s: left %v, %v", c.want, left, err)
		}
		// The next candidate gets its turn.
		calls = 0
		if _, _, err := fetch([]candidate{c.c, good}, dir, give(t, "a.tgz", archive, &calls)); err != nil {
			t.Errorf("%s: second candidate: %v", c.want, err)
		}
	}
}

func TestLockFile(t *testing.T) {
	f, err := os.Open("../ort.lock")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	l, err := parseLock(f)
	if err != nil {
		t.Fatal(err)
	}
	if got := l.platform("linux/amd64"); len(got) != 2 || got[0].Source != "npm" || got[1].Source != "pip" {
		t.Errorf("linux/amd64: %+v", got)
	}
	h := strings.Repeat("ab", 32)
	for _, bad := range []string{
		"", "version 1", "version 1\nx y z", "version 1\np cvs q " + h + " m " + h + " f",
		"version 1\np npm q " + h[1:] + " m " + h + " f", "version 1\np npm q " + h + " m " + h + " ../f",
		"version 1\np pip q==1 " + h + " m " + h + " f",
	} {
		if _, err := parseLock(strings.NewReader(bad)); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestPack(t *testing.T) {
	dir := t.TempDir()
	body := bytes.Repeat([]byte("library "), 1000)
	library := filepath.Join(dir, "lib.so.1")
	if err := os.WriteFile(library, body, 0o600); err != nil {
		t.Fatal(err)
	}
	for round, fresh := range []bool{true, false} {
		if got, err := pack(library, "1.2.3", dir); err != nil || got != fresh {
			t.Fatalf("round %d: fresh %v, error %v", round, got, err)
		}
	}
	raw, err := os.ReadFile(filepath.Join(dir, "libonnxruntime.json"))
	if err != nil {
		t.Fatal(err)
	}
	var info embedded.Info
	if err := json.Unmarshal(raw, &info); err != nil {
		t.Fatal(err)
	}
	want := embedded.Info{File: "lib.so.1", Version: "1.2.3", SHA256: sum(body), XXH3: xxh3.Hash(body), Size: int64(len(body))}
	if info != want {
		t.Errorf("%+v, want %+v", info, want)
	}
	packed, err := os.ReadFile(filepath.Join(dir, "libonnxruntime.zst"))
	if err != nil {
		t.Fatal(err)
	}
	dec, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer dec.Close()
	if got, err := dec.DecodeAll(packed, nil); err != nil || !bytes.Equal(got, body) {
		t.Errorf("unpacked to %d bytes, %v", len(got), err)
	}
}
