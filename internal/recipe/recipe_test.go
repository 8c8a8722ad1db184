package recipe

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"optim/internal/onnx"
)

func TestHistoryAccumulates(t *testing.T) {
	m := &onnx.Model{Graph: &onnx.Graph{}}
	first, second := New("prune", "1"), New("quantize", "1")
	first.Set("sparsity", "0.5")
	second.Set("method", "dynamic")
	second.Set("empty", "")
	for _, r := range []Recipe{first, second} {
		if err := r.Store(m); err != nil {
			t.Fatal(err)
		}
	}
	list, err := History(m)
	if err != nil || len(list) != 2 || !list[0].Equal(first) || !list[1].Equal(second) {
		t.Fatalf("history %v, %v", list, err)
	}
	if _, ok := list[1].Options["empty"]; ok {
		t.Fatal("an empty option was kept")
	}
}

func TestDamagedHistoryIsReported(t *testing.T) {
	m := &onnx.Model{Graph: &onnx.Graph{}}
	m.SetMeta(Key, "{")
	if _, err := History(m); err == nil {
		t.Fatal("no error")
	}
}

func TestDigestSeesEveryPart(t *testing.T) {
	base := New("quantize", "1")
	base.Source, base.Data = "s", "d"
	base.Set("a", "1")
	seen := map[string]bool{base.Digest("a"): true}
	for _, change := range []func(*Recipe){
		func(r *Recipe) { r.Version = "2" }, func(r *Recipe) { r.Source = "t" },
		func(r *Recipe) { r.Data = "e" }, func(r *Recipe) { r.Options = map[string]string{"a": "2"} },
	} {
		r := base
		change(&r)
		if seen[r.Digest("a")] || r.Equal(base) {
			t.Fatalf("%+v is not told from %+v", r, base)
		}
		seen[r.Digest("a")] = true
	}
	if base.Digest() == base.Digest("a") {
		t.Fatal("the options named make no difference")
	}
}

func TestFingerprint(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	print := func(path string) string {
		s, err := Fingerprint(path)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	write("a/x", "1")
	one := print(filepath.Join(dir, "a"))
	write("a/x", "2")
	two := print(filepath.Join(dir, "a"))
	write("a/y", "")
	three := print(filepath.Join(dir, "a"))
	if one == two || two == three || one == three {
		t.Fatal("changes of a folder are not seen")
	}
	if file := print(filepath.Join(dir, "a/x")); file == two {
		t.Fatal("a file is not told from a folder")
	}
	if print("random") != "random" {
		t.Fatal("a named source is not its own fingerprint")
	}
	if _, err := Fingerprint(filepath.Join(dir, "none.npz")); err == nil {
		t.Fatal("a missing file has a fingerprint")
	}
}

func TestPatternsIgnoreOrder(t *testing.T) {
	a, b := regexp.MustCompile("a b"), regexp.MustCompile("c")
	if Patterns([]*regexp.Regexp{a, b}) != Patterns([]*regexp.Regexp{b, a}) || Patterns(nil) != "" {
		t.Fatal("order matters, or nothing is something")
	}
}
