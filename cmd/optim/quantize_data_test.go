package main

import (
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"optim/internal/ort"
	"optim/internal/ort/orttest"
)

// picture returns a digit-sized picture: a bar of a width.
func picture(width int) *image.Gray {
	p := image.NewGray(image.Rect(0, 0, 28, 28))
	for y := 4; y < 24; y++ {
		for x := 12; x < 12+width; x++ {
			p.SetGray(x, y, color.Gray{Y: 255})
		}
	}
	return p
}

// record is a line of JSON for the model of digits.
func record(t testing.TB, label int) string {
	t.Helper()
	p := picture(4)
	rows := make([][]float64, 28)
	for y := range rows {
		for x := range 28 {
			rows[y] = append(rows[y], float64(p.GrayAt(x, y).Y)/255)
		}
	}
	line, err := json.Marshal(map[string]any{"input": [][][]float64{rows}, "label": label})
	if err != nil {
		t.Fatal(err)
	}
	return string(line) + "\n"
}

func writeFile(t testing.TB, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// pictures makes FOLDER/<digit>/bar.png for ten classes.
func pictures(t testing.TB, dir string) string {
	t.Helper()
	for i := range 10 {
		path := filepath.Join(dir, fmt.Sprint(i), "bar.png")
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := png.Encode(f, picture(i%6+1)); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// npy is a file of two samples of zeros.
func npy() string {
	head := "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1, 28, 28), }"
	head += strings.Repeat(" ", 117-len(head)) + "\n"
	return "\x93NUMPY\x01\x00" + string([]byte{byte(len(head)), 0}) + head + strings.Repeat("\x00\x00\x80\x3e", 2*28*28)
}

// TestQuantizeEvalKinds measures quality on data of every kind.
func TestQuantizeEvalKinds(t *testing.T) {
	t.Setenv(ort.LibraryEnv, orttest.Library(t))
	dir := t.TempDir()
	digits := filepath.Join(orttest.Root(t), "testdata", "models", "digits-mlp", "digits-mlp.onnx")
	for _, c := range []struct{ data, metric string }{
		{filepath.Join(orttest.Root(t), "testdata", "digits", "test.npz"), "accuracy"},
		{pictures(t, filepath.Join(dir, "pictures")), "accuracy"},
		{writeFile(t, filepath.Join(dir, "x.jsonl"), record(t, 1)+record(t, 1)), "accuracy"},
		{writeFile(t, filepath.Join(dir, "x.npy"), npy()), "cosine"},
		{"random", "cosine"},
	} {
		args := []string{"quantize", "--int8", "--json", "--force", "--measure", "off", "--eval-samples", "10", "--max-loss", "1",
			"--eval", c.data, "-o", filepath.Join(dir, "out.onnx"), digits}
		code, stdout, stderr := run(t, args...)
		if code != 0 || !strings.Contains(stdout, fmt.Sprintf(`"metric": %q`, c.metric)) {
			t.Errorf("%s: exit %d, %s%s", c.data, code, stdout, stderr)
		}
	}
}

// TestQuantizeEvalPairs ranks pairs of texts.
func TestQuantizeEvalPairs(t *testing.T) {
	model := filepath.Join(orttest.Root(t), "..", "shared", "models", "minilm", "minilm.onnx")
	if _, err := os.Stat(model); err != nil {
		t.Skip("the larger models are not there")
	}
	t.Setenv(ort.LibraryEnv, orttest.Library(t))
	for _, name := range []string{"sts-test.tsv", "sts-test.jsonl"} {
		code, stdout, stderr := run(t, "quantize", "--int8", "--json", "--measure", "off", "--eval-samples", "10",
			"--eval", filepath.Join(orttest.Root(t), "testdata", "sts", name), "-o", filepath.Join(t.TempDir(), "out.onnx"), model)
		if code != 0 || !strings.Contains(stdout, `"metric": "spearman"`) {
			t.Errorf("%s: exit %d, %s%s", name, code, stdout, stderr)
		}
	}
}

// TestQuantizeNothingToRetain: a source that is never right has no quality that
// could be kept. Of two labels for one picture at least one is wrong.
func TestQuantizeNothingToRetain(t *testing.T) {
	t.Setenv(ort.LibraryEnv, orttest.Library(t))
	dir := t.TempDir()
	refused := 0
	for label := range 2 {
		output := filepath.Join(dir, fmt.Sprintf("%d.onnx", label))
		code, stdout, stderr := run(t, "quantize", "--int8", "--measure", "off", "--eval", writeFile(t, filepath.Join(dir, "x.jsonl"), record(t, label)),
			"-o", output, filepath.Join(orttest.Root(t), "testdata", "models", "digits-mlp", "digits-mlp.onnx"))
		if code == 0 {
			continue
		}
		refused++
		if _, err := os.Stat(output); err == nil || code != 3 || stdout != "" || !strings.Contains(stderr, "there is nothing to retain") {
			t.Errorf("exit %d, %s%s", code, stdout, stderr)
		}
	}
	if refused == 0 {
		t.Error("the model is right about two labels for one picture")
	}
}
