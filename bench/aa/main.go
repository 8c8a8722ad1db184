// Command aa tests whether the comparisons of "optim bench" are honest: a model
// against itself has to show no difference in 19 of 20 repetitions or so (the
// intervals are of 95 %), and one that does a tenth more work has to be found slower.
//
//	go run ./bench/aa [-optim bin/optim] [-repeat 20] [-duration 3s] MODEL...
//
// The second part takes a stack of matrix products of its own making,
// of 40 layers against 44.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"

	"optim/internal/bench"
	"optim/internal/onnx"
	"optim/internal/tensor"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "aa:", err)
		os.Exit(1)
	}
}

func run() error {
	optim := flag.String("optim", "bin/optim", "the `program`")
	repeat := flag.Int("repeat", 20, "repetitions")
	duration := flag.String("duration", "3s", "time for each model in each repetition")
	flag.Parse()
	compare := func(a, b string) (bench.Comparison, error) {
		out, err := exec.Command(*optim, "bench", a, b, "--json", "--duration", *duration).Output()
		if err != nil {
			return bench.Comparison{}, err
		}
		var r bench.Result
		if err := json.Unmarshal(out, &r); err != nil {
			return bench.Comparison{}, err
		}
		return r.Comparisons[0], nil
	}
	for _, model := range flag.Args() {
		same := 0
		for i := range *repeat {
			c, err := compare(model, model)
			if err != nil {
				return err
			}
			if !c.Differs {
				same++
			}
			fmt.Printf("A/A %s %2d: %.4f (%.4f … %.4f) differs: %v\n", filepath.Base(model), i+1, c.Speedup, c.Low, c.High, c.Differs)
		}
		fmt.Printf("A/A %s: no difference in %d of %d\n\n", filepath.Base(model), same, *repeat)
	}
	return slower(compare, *repeat)
}

// slower compares a stack of products with one of a tenth more layers.
func slower(compare func(a, b string) (bench.Comparison, error), repeat int) error {
	dir, err := os.MkdirTemp("", "aa-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fast, slow := filepath.Join(dir, "40-layers.onnx"), filepath.Join(dir, "44-layers.onnx")
	for path, layers := range map[string]int{fast: 40, slow: 44} {
		if _, err := stack(layers).WriteFile(path, onnx.WriteOptions{}); err != nil {
			return err
		}
	}
	found := 0
	for i := range repeat {
		c, err := compare(fast, slow)
		if err != nil {
			return err
		}
		if c.Differs && c.Speedup < 1 {
			found++
		}
		fmt.Printf("a tenth more work %2d: %.4f (%.4f … %.4f) found slower: %v\n", i+1, c.Speedup, c.Low, c.High, c.Differs && c.Speedup < 1)
	}
	fmt.Printf("a tenth more work: found slower in %d of %d\n", found, repeat)
	return nil
}

// stack is a model of layers of 256 × 256, with 64 rows of input.
func stack(layers int) *onnx.Model {
	const width, rows = 256, 64
	rng := rand.New(rand.NewPCG(1, 1))
	g := &onnx.Graph{Name: "stack"}
	value := func(name string) *onnx.ValueInfo {
		return &onnx.ValueInfo{Name: name, Type: onnx.TensorType(tensor.Float32, rows, width)}
	}
	g.Inputs = []*onnx.ValueInfo{value("x")}
	from := "x"
	for i := range layers {
		w := make([]float32, width*width)
		for k := range w {
			w[k] = float32(rng.NormFloat64()) / 12
		}
		name, h, y := fmt.Sprintf("w%d", i), fmt.Sprintf("h%d", i), fmt.Sprintf("y%d", i)
		g.Initializers = append(g.Initializers, onnx.NewTensor(name, tensor.Of(tensor.Float32, tensor.Shape{width, width}, w)))
		g.Nodes = append(g.Nodes, onnx.NewNode("MatMul", h, []string{from, name}, []string{h}), onnx.NewNode("Relu", y, []string{h}, []string{y}))
		from = y
	}
	g.Outputs = []*onnx.ValueInfo{value(from)}
	return &onnx.Model{IRVersion: 8, Opsets: []onnx.Opset{{Version: 17}}, Graph: g}
}
