// Package dataset turns what a user names as data (arrays, images, text, or
// "random") into the samples that calibration, evaluation and training feed to
// a model. Samples are read one at a time: memory follows one sample, not the
// file. Data is untrusted: sizes are capped, and every defect is an *Error that
// names the file and the place.
package dataset

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"optim/internal/ort"
	"optim/internal/tensor"
)

// Random is the source name that asks for made-up data.
const Random = "random"

// Error says what is wrong with the data, or why it does not fit the model.
type Error struct {
	File string // as the user named it
	Err  error
}

// Error returns one line: the file, then the defect.
func (e *Error) Error() string {
	return e.File + ": " + strings.Join(strings.Fields(e.Err.Error()), " ")
}

// Unwrap returns the defect.
func (e *Error) Unwrap() error { return e.Err }

// fail returns a data error about file.
func fail(file, format string, args ...any) error {
	return &Error{File: file, Err: fmt.Errorf(format, args...)}
}

// ModelInfo is what has to be known about the model that will get the samples.
type ModelInfo struct {
	Path    string // its file; tokenizer.json and config.json may lie beside it
	Inputs  []ort.Info
	Outputs []ort.Info
}

// Options say how data is read. The zero value takes the defaults.
type Options struct {
	Samples      int    // at most so many; 0: all (random: 128)
	Spread       bool   // Samples of running text lie evenly in it, not at its beginning
	Tokenizer    string // tokenizer.json; empty: the one beside the model
	SeqLen       int    // ids per window or text; 0: the model's context
	Stride       int    // ids between the starts of two windows; 0: SeqLen
	TextAs       string // "auto" (or empty), "lines", "stream"
	Preprocess   string // see ParsePreprocess; empty: "unit", or "raw" for integers
	Layout       string // "auto" (or empty), "nchw", "nhwc"
	Shapes       map[string]tensor.Shape
	Dims         map[string]int64 // sizes of symbolic dimensions by name
	Vocab        int64            // rows of the embedding table; 0: unknown
	PositionRows int64            // rows of the position table; 0: unknown
	Seed         int64            // of random data
	SplitPairs   bool             // deliver the two texts of a scored pair as two samples
}

// Sample is what one run of the model gets, and what is known about it.
type Sample struct {
	Inputs map[string]tensor.Tensor // the leading axis (batch) is 1
	Label  *int64                   // class; nil: none
	Score  *float64                 // human judgement of a pair; nil: none
	Pair   *Sample                  // second text of a scored pair, to be run alone
	Mask   []bool                   // which positions are real; nil: all
	First  int                      // first prediction (from id First to id First+1) that no earlier window made
	Name   string                   // its place in the data: `line 3`, `cat/1.png`
}

// source yields samples in a fixed order; next returns io.EOF at the end.
type source interface {
	next() (Sample, error)
	rewind() error
	len() (n int, known bool)
	close() error
}

// Set is a sequence of samples.
type Set struct {
	Source string   // as the user named it
	Notes  []string // what was assumed or made up, for the report
	Causal bool     // texts for a causal language model, to be predicted
	Real   bool     // false: made-up data
	SeqLen int      // ids per window or text; 0: no text

	HasLabels, HasScores bool // judged by the first sample

	shape   *shaper
	src     source
	options Options
	limit   int
	given   int
	peeked  *Sample
	second  *Sample // other half of a pair that was split
	split   bool
}

// Open opens a data source for a model. The first sample is read, so that an
// empty set, or one that does not fit the model, fails here.
func Open(src string, model ModelInfo, o Options) (*Set, error) {
	sh, err := newShaper(model, o)
	if err != nil {
		return nil, err
	}
	s := &Set{Source: src, Real: true, shape: sh, options: o, limit: o.Samples, split: o.SplitPairs}
	if err := s.open(o); err != nil {
		return nil, err
	}
	first, err := s.Next()
	if err != nil {
		s.Close()
		if errors.Is(err, io.EOF) {
			return nil, fail(src, "no samples")
		}
		return nil, err
	}
	s.peeked = &first
	s.HasLabels, s.HasScores = first.Label != nil, first.Score != nil
	return s, nil
}

// open chooses the reader by the name of the source.
func (s *Set) open(o Options) error {
	var err error
	if s.Source == Random {
		s.Real = false
		s.src, err = newRandom(s, o)
		return err
	}
	st, err := os.Stat(s.Source)
	if err != nil {
		return &Error{File: s.Source, Err: plainPathError(err)}
	}
	ext := strings.ToLower(filepath.Ext(s.Source))
	switch {
	case st.IsDir():
		s.src, err = newImages(s, o)
	case !st.Mode().IsRegular():
		return fail(s.Source, "neither a file nor a folder")
	case ext == ".npz" || ext == ".npy":
		s.src, err = newArrays(s)
	case slices.Contains([]string{".txt", ".jsonl", ".csv", ".tsv"}, ext):
		s.src, err = newText(s, ext, o)
	default:
		return fail(s.Source, "unknown kind of data: want .npz, .npy, .txt, .jsonl, .csv, .tsv, a folder of images, or %q", Random)
	}
	return err
}

// plainPathError drops the path that os errors repeat.
func plainPathError(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// Next returns the next sample, or io.EOF after the last one. Its tensors are
// the caller's.
func (s *Set) Next() (Sample, error) {
	if s.peeked != nil {
		sample := *s.peeked
		s.peeked = nil
		return sample, nil
	}
	if s.limit > 0 && s.given >= s.limit {
		return Sample{}, io.EOF
	}
	sample, err := s.read()
	if err != nil {
		return Sample{}, err
	}
	s.given++
	return sample, nil
}

// read takes the next sample from the source, or the second half of a pair.
func (s *Set) read() (Sample, error) {
	if s.second != nil {
		sample := *s.second
		s.second = nil
		return sample, nil
	}
	sample, err := s.src.next()
	if err != nil {
		return Sample{}, err
	}
	if err := s.finish(&sample); err != nil {
		return Sample{}, err
	}
	if sample.Pair != nil {
		if err := s.finish(sample.Pair); err != nil {
			return Sample{}, err
		}
	}
	if s.split && sample.Pair != nil {
		s.second, sample.Pair, sample.Score = sample.Pair, nil, nil
	}
	return sample, nil
}

// Rewind starts again with the first sample.
func (s *Set) Rewind() error {
	s.given, s.peeked, s.second = 0, nil, nil
	return s.src.rewind()
}

// Len returns the number of samples of the whole set, where it is known without
// reading all of it.
func (s *Set) Len() (n int, known bool) {
	n, known = s.src.len()
	if s.split && s.hadPairs() {
		n *= 2
	}
	if !known {
		return 0, false
	}
	if s.limit > 0 {
		n = min(n, s.limit)
	}
	return n, true
}

// hadPairs reports whether the source delivers pairs that are split.
func (s *Set) hadPairs() bool {
	t, ok := s.src.(*textSource)
	return ok && t.separate
}

// IDs returns the name of the input that takes token ids, or "".
func (s *Set) IDs() string { return s.shape.ids }

// Close releases the files.
func (s *Set) Close() error { return s.src.close() }

// note adds a remark for the report, once.
func (s *Set) note(format string, args ...any) {
	if n := fmt.Sprintf(format, args...); !slices.Contains(s.Notes, n) {
		s.Notes = append(s.Notes, n)
	}
}
