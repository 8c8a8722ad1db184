// Command genmodel writes large ONNX models with random weights, to measure
// how quantization behaves in memory and time on models of a real size:
//
//	go run ./bench/genmodel -kind gpt2 -o gpt2.onnx
//
// The weights are computed while they are written and are never held together
// in memory; the same seed gives the same bytes. They have the spread of freshly
// initialised weights, so the models compute finite nonsense: good for size,
// memory and speed, worthless for quality.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"optim/internal/onnx"
)

// kinds are the models that can be made, by name.
var kinds = map[string]func(o options) *onnx.Model{
	"gpt2":        func(o options) *onnx.Model { return gpt(gptShape{12, 768, 12, 50257, 1024}, o) },
	"gpt2-medium": func(o options) *onnx.Model { return gpt(gptShape{24, 1024, 16, 50257, 1024}, o) },
	"gpt2-large":  func(o options) *onnx.Model { return gpt(gptShape{36, 1280, 20, 50257, 1024}, o) },
	"gpt2-tiny":   func(o options) *onnx.Model { return gpt(gptShape{2, 64, 4, 512, 64}, o) },
	"resnet50":    func(o options) *onnx.Model { return resnet([4]int{3, 4, 6, 3}, 64, 1000, o) },
	"resnet-tiny": func(o options) *onnx.Model { return resnet([4]int{1, 1, 1, 1}, 8, 10, o) },
}

// options are what the command line says about the model's content.
type options struct {
	seed   uint64
	linear string // gemm or matmul: how a linear layer of a GPT is written
}

func main() {
	if err := run(os.Args[1:], os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "genmodel: error:", err)
		os.Exit(1)
	}
}

func run(args []string, stderr io.Writer) error {
	f := flag.NewFlagSet("genmodel", flag.ContinueOnError)
	f.SetOutput(stderr)
	kind := f.String("kind", "gpt2", "what to make: "+kindNames())
	out := f.String("o", "", "the file to write")
	external := f.String("external", "auto", "weights in a file of their own: auto, always or never")
	workers := f.Int("workers", 0, "goroutines that compute weights; 0: one for each processor")
	var o options
	f.Uint64Var(&o.seed, "seed", 0, "seed of the weights")
	f.StringVar(&o.linear, "linear", "gemm", "linear layers of a GPT: gemm (Reshape, Gemm, Reshape) or matmul (MatMul, Add)")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	build, ok := kinds[*kind]
	switch {
	case f.NArg() > 0:
		return fmt.Errorf("unexpected argument %q", f.Arg(0))
	case !ok:
		return fmt.Errorf("unknown kind %q: one of %s", *kind, kindNames())
	case o.linear != "gemm" && o.linear != "matmul":
		return fmt.Errorf("unknown linear form %q: gemm or matmul", o.linear)
	case *out == "":
		return errors.New("no output: give -o FILE")
	}
	res, err := build(o).WriteFile(*out, onnx.WriteOptions{
		External: *external, DataPath: *out + ".data", Workers: *workers,
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stderr, "%s: %d bytes\n", *out, res.Size+res.DataSize)
	return err
}

func kindNames() string {
	names := make([]string, 0, len(kinds))
	for k := range kinds {
		names = append(names, k)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
