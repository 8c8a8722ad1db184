// Command eval measures what evaluation costs: the time of eval.Run, reading
// included, against the time of bare inference on the same samples, which lie in
// memory, with the best batch and bound outputs; in turn, so that both meet the
// same machine. Reading alone is timed too: no evaluation is faster than that.
//
//	OPTIM_ORT_LIB=lib/libonnxruntime.so.1 GOEXPERIMENT=simd go run ./bench/eval [flags] MODEL DATA [MODEL DATA]…
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"optim/internal/dataset"
	"optim/internal/eval"
	"optim/internal/inspect"
	"optim/internal/measure"
	"optim/internal/onnx"
	"optim/internal/ort"
	"optim/internal/tensor"
)

func main() {
	o := options{}
	flag.IntVar(&o.samples, "samples", 0, "samples at most; 0: all")
	flag.IntVar(&o.rounds, "rounds", 15, "measurements of each kind")
	flag.IntVar(&o.batch, "batch", 0, "samples per run of the evaluation; 0: chosen")
	flag.StringVar(&o.tokenizer, "tokenizer", "", "tokenizer.json for text")
	flag.BoolVar(&o.still, "still", false, "idle threads sleep instead of waiting busily")
	flag.Parse()
	if flag.NArg() == 0 || flag.NArg()%2 != 0 {
		fmt.Fprintln(os.Stderr, "usage: eval [flags] MODEL DATA [MODEL DATA]…")
		flag.PrintDefaults()
		os.Exit(2)
	}
	for i := 0; i < flag.NArg(); i += 2 {
		if err := o.measure(flag.Arg(i), flag.Arg(i+1)); err != nil {
			fmt.Fprintln(os.Stderr, "eval:", err)
			os.Exit(1)
		}
	}
}

type options struct {
	samples, rounds, batch int
	tokenizer              string
	still                  bool
}

// bench holds a model and the samples that it is run on.
type bench struct {
	model   *ort.Session
	set     *dataset.Set
	batch   int
	samples []dataset.Sample
	runs    []bareRun
}

// bareRun is a batch, bound, with as many samples as count.
type bareRun struct {
	*ort.Binding
	samples int
}

func (o options) measure(path, data string) error {
	b, err := o.open(path, data)
	if err != nil {
		return err
	}
	defer b.model.Close()
	defer b.set.Close()
	best, err := b.bestBatch()
	if err != nil {
		return err
	}
	if err := b.bind(best); err != nil {
		return err
	}
	defer b.unbind()
	var bare, full, read []float64
	var ratios []float64
	for range o.rounds {
		var d [4]float64
		for i, f := range []func() error{b.bare, b.evaluate, b.evaluate, b.bare} {
			if d[i], err = seconds(f); err != nil {
				return err
			}
		}
		r, err := seconds(b.read)
		if err != nil {
			return err
		}
		bare, full, read = append(bare, d[0], d[3]), append(full, d[1], d[2]), append(read, r)
		ratios = append(ratios, (d[0]+d[3])/(d[1]+d[2]))
	}
	low, high := measure.MedianInterval(ratios, 0)
	fmt.Printf("%-20s %.3f × the speed of bare inference (95 %% interval %.3f to %.3f): %s ms against %s ms in batches of %d, reading alone %s ms; %d samples\n",
		filepath.Base(path), measure.Median(ratios), low, high, ms(full), ms(bare), best, ms(read), len(b.samples))
	return nil
}

func ms(seconds []float64) string { return fmt.Sprintf("%.1f", 1e3*measure.Median(seconds)) }

func seconds(f func() error) (float64, error) {
	start := time.Now()
	err := f()
	return time.Since(start).Seconds(), err
}

// open opens the model, and reads all samples into memory.
func (o options) open(path, data string) (*bench, error) {
	rt, err := ort.Load(ort.Config{Library: os.Getenv(ort.LibraryEnv)})
	if err != nil {
		return nil, err
	}
	m, err := onnx.Open(path)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	b := &bench{batch: o.batch}
	if b.model, err = rt.Open(path, ort.Options{NoSpin: o.still}); err != nil {
		return nil, err
	}
	read := dataset.Options{Samples: o.samples, Tokenizer: o.tokenizer}
	read.Vocab, read.PositionRows = inspect.Tables(m)
	b.set, err = dataset.Open(data, dataset.ModelInfo{Path: path, Inputs: b.model.Inputs(), Outputs: b.model.Outputs()}, read)
	if err != nil {
		return nil, err
	}
	for {
		s, err := b.set.Next()
		if errors.Is(err, io.EOF) {
			return b, nil
		}
		if err != nil {
			return nil, err
		}
		b.samples = append(b.samples, s)
	}
}

// bind cuts the samples into batches and binds inputs and the first output.
func (b *bench) bind(size int) error {
	b.unbind()
	var outputs map[string]tensor.Tensor // of a full batch, shared by all
	for at := 0; at < len(b.samples); at += size {
		group := b.samples[at:min(at+size, len(b.samples))]
		batch, err := b.set.Collate(group)
		if err != nil {
			return err
		}
		out := outputs
		if out == nil || len(group) < size {
			if out, err = b.allocate(batch); err != nil {
				return err
			}
		}
		if len(group) == size {
			outputs = out
		}
		run, err := b.model.Bind(batch.Inputs, out)
		if err != nil {
			return err
		}
		b.runs = append(b.runs, bareRun{run, len(group)})
	}
	return nil
}

// allocate runs a batch once and returns room for its first output.
func (b *bench) allocate(batch dataset.Batch) (map[string]tensor.Tensor, error) {
	name := b.model.Outputs()[0].Name
	out, err := b.model.RunContext(context.Background(), batch.Inputs, []string{name})
	return out, err
}

func (b *bench) unbind() {
	for _, r := range b.runs {
		r.Close()
	}
	b.runs = nil
}

// bestBatch returns the batch size with the least time per sample: of a second of
// runs each, in turn.
func (b *bench) bestBatch() (int, error) {
	sizes := []int{1, 2, 4, 8, 16, 32, 64}
	times := make([][]float64, len(sizes))
	for range 5 {
		for i, size := range sizes {
			if size > len(b.samples) {
				continue
			}
			if err := b.bind(size); err != nil {
				continue // the model does not take such a batch
			}
			t, err := b.perSample(200 * time.Millisecond)
			if err != nil {
				return 0, err
			}
			times[i] = append(times[i], t)
		}
	}
	best := 0
	for i := range sizes {
		if len(times[i]) > 0 && measure.Median(times[i]) < measure.Median(times[best]) {
			best = i
		}
	}
	return sizes[best], nil
}

// perSample runs batches for so long, each at least once, and returns the seconds
// that a sample took.
func (b *bench) perSample(budget time.Duration) (float64, error) {
	start, n := time.Now(), 0
	for i := 0; i == 0 || time.Since(start) < budget; i++ {
		r := b.runs[i%len(b.runs)]
		if err := r.Run(); err != nil {
			return 0, err
		}
		n += r.samples
	}
	return time.Since(start).Seconds() / float64(n), nil
}

// bare runs the model on all samples.
func (b *bench) bare() error {
	for _, r := range b.runs {
		if err := r.Run(); err != nil {
			return err
		}
	}
	return nil
}

// evaluate measures the quality of the model.
func (b *bench) evaluate() error {
	_, err := eval.Run(context.Background(), b.model, b.set, eval.Options{Batch: b.batch})
	return err
}

// read reads all samples.
func (b *bench) read() error {
	if err := b.set.Rewind(); err != nil {
		return err
	}
	for {
		_, err := b.set.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
