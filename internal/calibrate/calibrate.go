// Package calibrate runs a model over samples and observes its activations:
// extremes as reduction nodes inside the graph, histograms in Go over bound
// outputs. Memory does not depend on the number of samples.
package calibrate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"optim/internal/dataset"
	"optim/internal/onnx"
	"optim/internal/ort"
	"optim/internal/quant"
)

// Options say what to observe and how.
type Options struct {
	Values     []string       // activations to observe
	Channels   map[string]int // axis of the channels whose means are wanted, by value; -1: the last
	Histograms bool           // false: extremes and power only
	Session    ort.Options
	Progress   func(done int) // may be nil

	// Cache is a file that keeps what was observed; empty: none. A run that was
	// interrupted goes on where its last checkpoint stood.
	Cache string
}

// Result is what was observed.
type Result struct {
	Observations quant.Observations
	Samples      int
	Resumed      int // samples that came from the cache
}

// checkpointEvery is the time between two writes of the cache.
const checkpointEvery = 5 * time.Second

// Run observes a model over all samples of a set. Where none of the values is
// of float32 there is nothing to observe, and no sample is run.
func Run(ctx context.Context, rt *ort.Runtime, m *onnx.Model, set *dataset.Set, o Options) (*Result, error) {
	st := loadState(o.Cache)
	if st.Done {
		return st.result(st.Samples), nil
	}
	r, err := newRunner(rt, m, o)
	if err != nil {
		return nil, fmt.Errorf("calibrate: %w", err)
	}
	defer r.close()
	if len(r.values) == 0 {
		return &Result{}, nil
	}
	if err := skip(set, st.Samples); err != nil {
		return nil, err
	}
	resumed := st.Samples
	saved := time.Now()
	for {
		if err := ctx.Err(); err != nil {
			return nil, errors.Join(err, st.save(o.Cache))
		}
		sample, err := set.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if err := r.observe(ctx, sample, st); err != nil {
			if ctx.Err() != nil && errors.Is(err, ctx.Err()) { // the run was stopped: st is as it was
				return nil, errors.Join(ctx.Err(), st.save(o.Cache))
			}
			return nil, fmt.Errorf("calibrate: sample %d: %w", st.Samples+1, err)
		}
		st.Samples++
		if o.Progress != nil {
			o.Progress(st.Samples)
		}
		if o.Cache != "" && time.Since(saved) > checkpointEvery {
			if err := st.save(o.Cache); err != nil {
				return nil, err
			}
			saved = time.Now()
		}
	}
	if st.Samples == 0 {
		return nil, fmt.Errorf("calibrate: %q holds no samples", set.Source)
	}
	st.Done = true
	return st.result(resumed), st.save(o.Cache)
}

// skip passes over samples that were observed before the interruption.
func skip(set *dataset.Set, n int) error {
	for range n {
		if _, err := set.Next(); err != nil {
			return fmt.Errorf("resume calibration: %w", err)
		}
	}
	return nil
}
