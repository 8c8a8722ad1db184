package gate

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestTargetRefusals(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write(t, at("in.onnx"), "model")
	write(t, at("in.onnx.data"), "weights")
	write(t, at("old.onnx"), "older")
	write(t, at("new.onnx.data"), "somebody's")
	for from, to := range map[string]string{"link.onnx": at("in.onnx"), "dangling.onnx": "nowhere", "other.onnx": at("old.onnx")} {
		if err := os.Symlink(to, at(from)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Link(at("in.onnx"), at("hard.onnx")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(at("folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(at("pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	inputs := []string{at("in.onnx"), at("in.onnx.data")}
	for _, c := range []struct {
		target Target
		want   string // part of the message; empty: accepted
	}{
		{Target{Path: at("fresh.onnx")}, ""},
		{Target{Path: at("in.onnx"), Force: true}, "would overwrite the input"},
		{Target{Path: dir + "/folder/../in.onnx", Force: true}, "would overwrite the input"},
		{Target{Path: at("link.onnx"), Force: true}, "would overwrite the input"},
		{Target{Path: at("hard.onnx"), Force: true}, "would overwrite the input"},
		{Target{Path: at("in.onnx.data"), Force: true}, "would overwrite the input"},
		{Target{Path: at("old.onnx")}, "exists"},
		{Target{Path: at("old.onnx"), Force: true}, ""},
		{Target{Path: at("other.onnx")}, "exists"},
		{Target{Path: at("other.onnx"), Force: true}, ""},
		{Target{Path: at("dangling.onnx")}, "exists"},
		{Target{Path: at("dangling.onnx"), Force: true}, ""},
		{Target{Path: at("folder"), Force: true}, "is a folder"},
		{Target{Path: at("pipe"), Force: true}, "is not a regular file"},
		{Target{Path: at("new.onnx"), External: "auto"}, ""},
		{Target{Path: at("new.onnx"), External: "always"}, "exists"},
		{Target{Path: at("new.onnx"), External: "always", Force: true}, ""},
		{Target{Path: at("none/x.onnx")}, "does not exist"},
		{Target{Path: at("old.onnx/x.onnx")}, "cannot be written"},
	} {
		err := c.target.Check(inputs)
		var refused *OutputError
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%+v: %v", c.target, err)
		case c.want != "" && (!errors.As(err, &refused) || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%+v: %v, want %q", c.target, err, c.want)
		}
	}
}

func TestTargetInReadOnlyFolder(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("the superuser may write everywhere")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	err := Target{Path: filepath.Join(dir, "x.onnx")}.Check(nil)
	if err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Fatal(err)
	}
}

// TestPlaceNeverReplaces plays another process that makes the file between the
// check and the renaming.
func TestPlaceNeverReplaces(t *testing.T) {
	dir := t.TempDir()
	target := Target{Path: filepath.Join(dir, "x.onnx"), External: "always"}
	folder := filepath.Join(dir, "stage")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	s := &staging{Target: target, folder: folder, model: filepath.Join(folder, "x.onnx"), weight: filepath.Join(folder, "x.onnx.data")}
	write(t, s.model, "new")
	write(t, s.weight, "new data")
	write(t, target.Path, "theirs")
	undo, err := s.placeData(true)
	if err != nil {
		t.Fatal(err)
	}
	var refused *OutputError
	if err := s.place(s.model, target.Path); !errors.As(err, &refused) {
		t.Fatalf("error %v", err)
	}
	if err := undo(); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(target.Path); string(b) != "theirs" {
		t.Errorf("the file became %q", b)
	}
	if _, err := os.Lstat(target.data()); !os.IsNotExist(err) {
		t.Errorf("data is left: %v", err)
	}
}

// TestUndoBringsOldDataBack fails after the data was replaced.
func TestUndoBringsOldDataBack(t *testing.T) {
	dir := t.TempDir()
	s := &staging{Target: Target{Path: filepath.Join(dir, "x.onnx"), Force: true}, folder: filepath.Join(dir, "stage")}
	s.weight = filepath.Join(s.folder, "x.onnx.data")
	if err := os.Mkdir(s.folder, 0o755); err != nil {
		t.Fatal(err)
	}
	read := func() string { b, _ := os.ReadFile(s.data()); return string(b) }
	write(t, s.data(), "old")
	if _, err := s.placeData(true); err == nil || read() != "old" {
		t.Fatalf("without staged data: %v, the data is %q", err, read())
	}
	write(t, s.weight, "new")
	undo, err := s.placeData(true)
	if err != nil || read() != "new" {
		t.Fatalf("%v, the data is %q", err, read())
	}
	if err := undo(); err != nil || read() != "old" {
		t.Fatalf("%v, the data is %q", err, read())
	}
}
