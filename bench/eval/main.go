package main

import (
	"fmt"
	"os"
	"slices"
	"time"

	"optim/internal/dataset"
	"optim/internal/inspect"
	"optim/internal/onnx"
	"optim/internal/ort"
	"optim/internal/tensor"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func main() {
	rt := must(ort.Load(ort.Config{Library: os.Getenv("OPTIM_ORT_LIB")}))
	path, data, tok := os.Args[1], os.Args[2], ""
	if len(os.Args) > 3 {
		tok = os.Args[3]
	}
	s := must(rt.Open(path, ort.Options{NoSpin: os.Getenv("NOSPIN") != ""}))
	g := must(onnx.Open(path))
	o := dataset.Options{Tokenizer: tok}
	o.Vocab, o.PositionRows = inspect.Tables(g)
	set := must(dataset.Open(data, dataset.ModelInfo{Path: path, Inputs: s.Inputs(), Outputs: s.Outputs()}, o))
	sizes := []int{1, 2, 4, 8, 16, 32, 64, 128}
	var binds []*ort.Binding
	for _, b := range sizes {
		set.Rewind()
		batch := must(set.Batch(b))
		outs := must(s.Run(batch.Inputs))
		name := s.Outputs()[0].Name
		out := must(tensor.New(outs[name].DType, outs[name].Shape))
		binds = append(binds, must(s.Bind(batch.Inputs, map[string]tensor.Tensor{name: out})))
	}
	times := make([][]float64, len(sizes))
	for end := time.Now().Add(8 * time.Second); time.Now().Before(end) || len(times[0]) < 5; {
		for i, b := range sizes {
			reps := max(1, 128/b/8)
			t := time.Now()
			for range reps {
				binds[i].Run()
			}
			times[i] = append(times[i], float64(time.Since(t).Nanoseconds())/float64(reps*b)/1e3)
		}
	}
	for i, b := range sizes {
		slices.Sort(times[i])
		fmt.Printf("batch %d: min %.2f p25 %.2f med %.2f µs/sample\n", b, times[i][0], times[i][len(times[i])/4], times[i][len(times[i])/2])
	}
}
