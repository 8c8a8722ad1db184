package main

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/spf13/pflag"

	"optim/internal/tensor"
)

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{
		"1": 1, "4096": 4096, "4096B": 4096, "1kB": 1000, "1KiB": 1024, "64MiB": 64 << 20,
		"1GB": 1e9, "1 GiB": 1 << 30, "1.5gib": 3 << 29, " 2tb ": 2e12, "0.5kB": 500,
	} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("parseSize(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "0", "-1", "+1", "MiB", "1 MiBs", "1e3", "1e", "0x10", "NaN", "Inf", "1.2.3", "9EB",
		"9300000TB", "1,5MB", "1M", "0.2", "1_000",
	} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("parseSize(%q) = %d, want an error", text, got)
		}
	}
}

func FuzzParseSize(f *testing.F) {
	for _, s := range []string{"64MiB", "1GB", "1.5 kB", "99999999999999999999", "1e9", ".5GB"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := parseSize(s); err == nil && n < 1 || err != nil && n != 0 {
			t.Errorf("parseSize(%q) = %d, %v", s, n, err)
		}
	})
}

func TestParseShapesAndDims(t *testing.T) {
	shapes, err := parseShapes([]string{"a:1x128", "b:0:3", "s:7x1x1"})
	want := map[string]tensor.Shape{"a": {1, 128}, "b:0": {3}, "s": {7, 1, 1}}
	if err != nil || !reflect.DeepEqual(shapes, want) {
		t.Errorf("parseShapes: %v, %v", shapes, err)
	}
	for _, s := range []string{"", "a", ":1", "a:", "a:0", "a:-1", "a:1x", "a:1xy", "a:9999999999"} {
		if _, err := parseShapes([]string{s}); exitOf(err) != exitUsage {
			t.Errorf("parseShapes(%q): %v", s, err)
		}
	}
	if _, err := parseShapes([]string{"a:1", "a:2"}); err == nil {
		t.Error("a shape given twice is taken")
	}
	dims, err := parseDims([]string{"batch=1", "sequence=128"})
	if err != nil || !reflect.DeepEqual(dims, map[string]int64{"batch": 1, "sequence": 128}) {
		t.Errorf("parseDims: %v, %v", dims, err)
	}
	for _, s := range []string{"", "a", "=1", "a=", "a=0", "a=x"} {
		if _, err := parseDims([]string{s}); exitOf(err) != exitUsage {
			t.Errorf("parseDims(%q): %v", s, err)
		}
	}
	if _, err := parseDims([]string{"a=1", "a=2"}); err == nil {
		t.Error("a dimension given twice is taken")
	}
}

func TestOutputPath(t *testing.T) {
	for _, c := range []struct{ output, model, want string }{
		{"", "net.onnx", "net.int8.onnx"},
		{"", "a/b.c/net.ONNX", "a/b.c/net.int8.ONNX"},
		{"", "a.b/net", "a.b/net.int8.onnx"},
		{"", "net.v2.onnx", "net.v2.int8.onnx"},
		{"x.onnx", "net.onnx", "x.onnx"},
	} {
		o := writeFlags{output: c.output}
		if got := o.outputPath(c.model, ".int8"); got != c.want {
			t.Errorf("%q for %q: %q, want %q", c.output, c.model, got, c.want)
		}
	}
}

func TestCheckOutput(t *testing.T) {
	dir := t.TempDir()
	model := filepath.Join(dir, "m.onnx")
	data := filepath.Join(dir, "out.onnx.data")
	link := filepath.Join(dir, "link.onnx")
	for _, f := range []string{model, data} {
		if err := os.WriteFile(f, []byte("x"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(model, link); err != nil {
		t.Fatal(err)
	}
	inputs := []string{model, data}
	for _, c := range []struct {
		name   string
		flags  writeFlags
		output string
		ok     bool
	}{
		{"new", writeFlags{}, filepath.Join(dir, "new.onnx"), true},
		{"the input", writeFlags{force: true}, model, false},
		{"the input by another name", writeFlags{force: true}, dir + "/./m.onnx", false},
		{"a link to the input", writeFlags{force: true}, link, false},
		{"its data would hit an input", writeFlags{force: true}, filepath.Join(dir, "out.onnx"), false},
		{"a folder", writeFlags{force: true}, dir, false},
		{"no folder", writeFlags{}, filepath.Join(dir, "no", "x.onnx"), false},
	} {
		if err := c.flags.checkOutput(c.output, inputs...); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	for _, c := range []struct {
		flags writeFlags
		ok    bool
	}{
		{writeFlags{}, false}, {writeFlags{force: true}, true},
		{writeFlags{dryRun: true}, true}, {writeFlags{ifUnchanged: "skip"}, true},
	} {
		if err := c.flags.checkOutput(model, "other.onnx"); (err == nil) != c.ok {
			t.Errorf("existing output with %+v: %v", c.flags, err)
		}
	}
}

func TestWriteFlagsCheck(t *testing.T) {
	for _, c := range []struct {
		args []string
		ok   bool
	}{
		{nil, true},
		{[]string{"--eval", "d", "--max-loss", "0.1"}, true},
		{[]string{"--eval", "d", "--max-loss", "0"}, true},
		{[]string{"--max-loss", "0.1"}, false},
		{[]string{"--metric", "f1"}, false},
		{[]string{"--eval", "d", "--max-loss", "1.5"}, false},
		{[]string{"--eval", "d", "--max-loss", "NaN"}, false},
		{[]string{"--eval", "d", "--metric", "mse"}, true},
		{[]string{"--eval", "d", "--metric", "mse", "--max-loss", "0.1"}, false},
		{[]string{"--min-speedup", "-1"}, false},
		{[]string{"--min-speedup", "1.2"}, true},
		{[]string{"--min-speedup", "1.2", "--measure", "off"}, false},
	} {
		fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
		var o writeFlags
		o.register(fs)
		o.registerChoice(fs)
		if err := fs.Parse(c.args); err != nil {
			t.Fatalf("%q: %v", c.args, err)
		}
		if err := o.check(fs); (err == nil) != c.ok || err != nil && exitOf(err) != exitUsage {
			t.Errorf("%q: %v", c.args, err)
		}
	}
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	var o writeFlags
	o.register(fs)
	o.registerChoice(fs)
	err := fs.Parse([]string{"--keep", "a,b", "--keep", "^c$", "--only", "x", "--max-size", "64MiB", "--seed", "7"})
	if err != nil || len(o.keep) != 2 || !o.keep[0].MatchString("a,b") || len(o.only) != 1 || o.maxSize != 64<<20 || o.seed != 7 {
		t.Errorf("%v, %+v", err, o)
	}
	for _, args := range [][]string{{"--keep", "("}, {"--max-size", "big"}, {"--if-unchanged", "no"}, {"--external-data", "x"}} {
		if err := fs.Parse(args); err == nil {
			t.Errorf("%q is taken", args)
		}
	}
}
