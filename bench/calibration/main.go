// Command calibration measures what calibration costs: the time of observing
// all activations of a model over the time of plainly running the unmodified
// model on the same samples, loading included in both, in turn, for extremes and for histograms; and the
// peak memory for few and for many samples.
//
//	go run ./bench/calibration [-samples N] [-rounds N] MODEL DATA
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"optim/internal/calibrate"
	"optim/internal/dataset"
	"optim/internal/inspect"
	"optim/internal/measure"
	"optim/internal/onnx"
	"optim/internal/ort"
	"optim/internal/quant"
)

func main() {
	samples := flag.Int("samples", 64, "samples to run")
	rounds := flag.Int("rounds", 5, "measurements of each kind")
	flag.Parse()
	if flag.NArg() != 2 {
		fmt.Fprintln(os.Stderr, "usage: calibration [-samples N] [-rounds N] MODEL DATA")
		os.Exit(2)
	}
	b, err := open(flag.Arg(0), flag.Arg(1), *samples)
	if err == nil {
		err = b.run(*rounds)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "calibration:", err)
		os.Exit(1)
	}
}

// still keeps the idle threads of one session from disturbing the other.
var still = ort.Options{NoSpin: true}

// bench holds a model and the samples that it is run on.
type bench struct {
	rt    *ort.Runtime
	path  string
	model *onnx.Model // prepared
	set   *dataset.Set
}

func open(path, data string, samples int) (*bench, error) {
	b := &bench{path: path}
	var err error
	if b.rt, err = ort.Load(ort.Config{}); err != nil {
		return nil, err
	}
	if b.model, err = onnx.Open(path); err != nil {
		return nil, err
	}
	read := dataset.Options{Samples: samples, SplitPairs: true}
	read.Vocab, read.PositionRows = inspect.Tables(b.model)
	info, err := calibrate.Describe(b.rt, b.model, still)
	if err != nil {
		return nil, err
	}
	if b.set, err = dataset.Open(data, info, read); err != nil {
		return nil, err
	}
	_, err = quant.Prepare(b.model, &quant.Options{})
	return b, err
}

// run measures plain inference and both kinds of calibration in turn.
func (b *bench) run(rounds int) error {
	for _, c := range []quant.Calibrator{quant.MinMax, quant.MSE} {
		var ratios []float64
		for range rounds {
			plain, err := b.time(b.infer)
			if err != nil {
				return err
			}
			observed, err := b.time(func() error { return b.calibrate(c) })
			if err != nil {
				return err
			}
			ratios = append(ratios, observed.Seconds()/plain.Seconds())
		}
		low, high := measure.MedianInterval(ratios, 0)
		fmt.Printf("%-10s %.2f × the time of plain inference (95 %% interval %.2f to %.2f), peak memory %d MB\n",
			c, measure.Median(ratios), low, high, measure.PeakRSS()/1e6)
	}
	return nil
}

func (b *bench) time(f func() error) (time.Duration, error) {
	if err := b.set.Rewind(); err != nil {
		return 0, err
	}
	start := time.Now()
	err := f()
	return time.Since(start), err
}

// infer loads the unmodified model and runs it over all samples.
func (b *bench) infer() error {
	plain, err := b.rt.Open(b.path, still)
	if err != nil {
		return err
	}
	defer plain.Close()
	for {
		s, err := b.set.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := plain.Run(s.Inputs); err != nil {
			return err
		}
	}
}

func (b *bench) calibrate(c quant.Calibrator) error {
	target, err := quant.ParseTarget("host")
	if err != nil {
		return err
	}
	o := &quant.Options{Format: quant.Int8, Method: quant.Static, Bits: 8, Embeddings: true, Calibrator: c, Target: target}
	values, channels := quant.Activations(b.model, o)
	_, err = calibrate.Run(context.Background(), b.rt, b.model, b.set, calibrate.Options{
		Values: values, Channels: channels, Histograms: c.Histograms(), Session: still,
	})
	return err
}
