package main

import (
	"github.com/spf13/pflag"

	"optim/internal/dataset"
)

// dataFlags are the flags of every command that takes data.
type dataFlags struct {
	tokenizer, textAs, preprocess, layout string

	seqLen, stride, evalSamples, calibSamples int

	shape, dim []string
}

// calibSamplesDefault is how many samples calibration reads at most.
const calibSamplesDefault = 128

// register adds the flags to fs; --calib-samples only where there is a --calib.
func (d *dataFlags) register(fs *pflag.FlagSet, calib bool) {
	own := pflag.NewFlagSet(groupData, pflag.ContinueOnError)
	own.StringVar(&d.tokenizer, "tokenizer", "", "tokenizer.json `file` for text (default: the one beside the model)")
	own.IntVar(&d.seqLen, "seq-len", 0, "length of a window of text, in ids; 0: the model's context")
	own.IntVar(&d.stride, "stride", 0, "ids between the starts of windows; 0: the window's length")
	enumVar(own, &d.textAs, "text-as", "auto", "how a .txt file is read", "auto", "lines", "stream")
	own.IntVar(&d.evalSamples, "eval-samples", 0, "samples to evaluate on at most; 0: all")
	if calib {
		own.IntVar(&d.calibSamples, "calib-samples", calibSamplesDefault, "samples to calibrate with at most; 0: all")
	}
	own.StringVar(&d.preprocess, "preprocess", "", "`scaling` of pictures: unit (the default), imagenet, symmetric, raw, or mean=R:G:B,std=R:G:B")
	enumVar(own, &d.layout, "layout", "auto", "order of a picture's axes", "auto", "nchw", "nhwc")
	own.StringSliceVar(&d.shape, "shape", nil, "shape of an input, as `NAME:1x128`; a list")
	own.StringSliceVar(&d.dim, "dim", nil, "size of a symbolic dimension, as `NAME=SIZE`; a list")
	markGroup(own, groupData)
	fs.AddFlagSet(own)
}

// check refuses numbers that mean nothing.
func (d *dataFlags) check() error {
	for _, f := range []struct {
		name string
		n    int
	}{
		{"seq-len", d.seqLen}, {"stride", d.stride},
		{"eval-samples", d.evalSamples}, {"calib-samples", d.calibSamples},
	} {
		if f.n < 0 {
			return usagef("--%s must not be negative, not %d", f.name, f.n)
		}
	}
	if d.preprocess != "" {
		if _, err := dataset.ParsePreprocess(d.preprocess); err != nil {
			return usagef("--preprocess: %w", err)
		}
	}
	_, err := d.options()
	return err
}

// options returns what the flags say about reading data.
func (d *dataFlags) options() (dataset.Options, error) {
	shapes, err := parseShapes(d.shape)
	if err != nil {
		return dataset.Options{}, err
	}
	dims, err := parseDims(d.dim)
	if err != nil {
		return dataset.Options{}, err
	}
	return dataset.Options{
		Tokenizer: d.tokenizer, SeqLen: d.seqLen, Stride: d.stride, TextAs: d.textAs,
		Preprocess: d.preprocess, Layout: d.layout, Dims: dims, Shapes: shapes,
	}, nil
}
