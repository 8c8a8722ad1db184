//go:build linux

package main

import (
	"encoding/json"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"optim/internal/onnx"
	"optim/internal/ort"
	"optim/internal/ort/orttest"
	"optim/internal/prune"
	"optim/internal/tensor"
)

// TestPruneSparsity: over all kinds of zeros the sparsity that is counted in the written file
// is the reported one, layer by layer, and what was asked for; patterns hold in every block
// along the inputs.
func TestPruneSparsity(t *testing.T) {
	t.Setenv(ort.LibraryEnv, orttest.Library(t))
	cnn, gpt := data(t, "models/mnist-cnn/mnist-cnn.onnx"), data(t, "models/tinygpt-s/tinygpt-s.onnx")
	mlp := data(t, "models/digits-mlp/digits-mlp.onnx") // with inputs that are always 0
	digits := []string{"--data", data(t, "digits/calib.npz"), "--samples", "16"}
	text := []string{"--data", data(t, "text/valid.txt"), "--samples", "8", "--seq-len", "32", "--tokenizer", data(t, "models/tinygpt/tokenizer.json")}
	half, pattern := []string{"--unstructured", "--sparsity", "0.37"}, []string{"--nm", "2:4"}
	for name, c := range map[string]struct {
		model string
		args  [][]string
		n, m  int
	}{
		"global":            {cnn, [][]string{half}, 0, 0},
		"biases":            {cnn, [][]string{half, {"--biases"}}, 0, 0},
		"layer":             {gpt, [][]string{half, {"--scope", "layer"}}, 0, 0},
		"embeddings":        {gpt, [][]string{half, {"--embeddings"}}, 0, 0},
		"dead inputs":       {mlp, [][]string{half, {"--score", "sparsegpt"}, digits}, 0, 0},
		"dead, fisher":      {mlp, [][]string{half, {"--score", "fisher"}, digits}, 0, 0},
		"threshold":         {gpt, [][]string{{"--unstructured", "--threshold", "0.02"}}, 0, 0},
		"wanda":             {cnn, [][]string{half, {"--score", "wanda"}, digits}, 0, 0},
		"fisher":            {cnn, [][]string{half, {"--score", "fisher"}, digits}, 0, 0},
		"sparsegpt":         {gpt, [][]string{half, {"--score", "sparsegpt"}, text}, 0, 0},
		"steps":             {gpt, [][]string{half, {"--steps", "3"}}, 0, 0},
		"fine-tuned":        {cnn, [][]string{half, {"--finetune-epochs", "1"}, digits}, 0, 0},
		"2:4":               {cnn, [][]string{pattern}, 2, 4},
		"4:8":               {gpt, [][]string{{"--nm", "4:8"}}, 4, 8},
		"2:4 by wanda":      {gpt, [][]string{pattern, {"--score", "wanda"}, text}, 2, 4},
		"2:4 by sparsegpt":  {gpt, [][]string{pattern, {"--score", "sparsegpt"}, text}, 2, 4},
		"2:4 by fisher":     {cnn, [][]string{pattern, {"--score", "fisher"}, digits}, 2, 4},
		"2:4 and finetuned": {cnn, [][]string{pattern, {"--finetune-epochs", "1"}, digits}, 2, 4},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "out.onnx")
			args := []string{"prune", c.model, "-o", file, "--measure", "off", "--json"}
			for _, a := range c.args {
				args = append(args, a...)
			}
			code, out, errs := run(t, args...)
			var report struct {
				Sparsity      float64
				ModelSparsity float64 `json:"model_sparsity"`
				Layers        []struct {
					Name                string
					Parameters, Nonzero int64
				}
			}
			if err := json.Unmarshal([]byte(out), &report); code != 0 || err != nil {
				t.Fatalf("exit %d, %v: %s", code, err, errs)
			}
			elements, zeros := int64(0), int64(0)
			written, total, allZeros := weightsOf(t, file)
			if got := float64(allZeros) / float64(total); got != report.ModelSparsity || report.ModelSparsity == report.Sparsity && name != "biases" {
				t.Errorf("of all weights %g are zero, reported %g", got, report.ModelSparsity)
			}
			for _, l := range report.Layers {
				w, ok := written[l.Name]
				if !ok || int64(len(w.values)) != l.Parameters || l.Parameters-w.zeros() != l.Nonzero {
					t.Errorf("%s: %d of %d elements are zero, reported %d", l.Name, w.zeros(), len(w.values), l.Parameters-l.Nonzero)
				}
				elements, zeros = elements+l.Parameters, zeros+w.zeros()
				if strings.Contains(l.Name, "wte") && name != "embeddings" {
					t.Errorf("%s is among the weights concerned", l.Name)
				}
				if c.m > 0 && !w.holds(c.n, c.m) {
					t.Errorf("%s: a block has more than %d of %d", l.Name, c.n, c.m)
				}
			}
			if got := float64(zeros) / float64(max(elements, 1)); got != report.Sparsity || elements == 0 {
				t.Errorf("sparsity %g, reported %g", got, report.Sparsity)
			}
			whole := func(n int64) int64 { return int64(math.Round(0.37 * float64(n))) }
			switch name {
			case "layer", "sparsegpt", "dead inputs":
				for _, l := range report.Layers {
					if l.Parameters-l.Nonzero != whole(l.Parameters) {
						t.Errorf("%s: %d zeros, not %d", l.Name, l.Parameters-l.Nonzero, whole(l.Parameters))
					}
				}
			case "global", "biases", "embeddings", "steps", "fine-tuned", "fisher", "dead, fisher":
				if zeros != whole(elements) {
					t.Errorf("%d zeros, not %d", zeros, whole(elements))
				}
			}
		})
	}
}

// layered is a weight of a written model.
type layered struct {
	prune.Matrix
	values []float32
}

func (w layered) zeros() (n int64) {
	for _, x := range w.values {
		if x == 0 {
			n++
		}
	}
	return n
}

// holds reports whether at most n of every m weights along the inputs are not zero; of fewer
// at the end as many as n in m.
func (w layered) holds(n, m int) bool {
	stride := 1
	for _, d := range w.Tensor.Shape[w.Inputs+1:] {
		stride *= int(d)
	}
	k := int(w.Tensor.Shape[w.Inputs])
	for line := range len(w.values) / k {
		first := line/stride*k*stride + line%stride
		for lo := 0; lo < k; lo += m {
			size, left := min(m, k-lo), 0
			for i := range size {
				if w.values[first+(lo+i)*stride] != 0 {
					left++
				}
			}
			if left > (size*n+m-1)/m {
				return false
			}
		}
	}
	return true
}

// weightsOf reads the matrices of a file, and counts its float32 weights and zeros.
func weightsOf(t *testing.T, file string) (out map[string]layered, elements, zeros int64) {
	t.Helper()
	m, err := onnx.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	out = map[string]layered{}
	for _, w := range append(prune.Matrices(m.Graph, true), prune.Vectors(m.Graph)...) {
		value, err := w.Tensor.Value()
		if err != nil {
			t.Fatal(err)
		}
		out[w.Tensor.Name] = layered{w, append([]float32(nil), tensor.As[float32](value.Data)...)}
	}
	for _, w := range m.Graph.Initializers {
		if w.DType == tensor.Float32 {
			value, err := w.Value()
			if err != nil {
				t.Fatal(err)
			}
			all := layered{values: tensor.As[float32](value.Data)}
			elements, zeros = elements+int64(len(all.values)), zeros+all.zeros()
		}
	}
	return out, elements, zeros
}
