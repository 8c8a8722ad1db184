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
	"optim/internal/tokenizer"
)

// textSource reads records of text (or of arrays, in .jsonl) and cuts them into
// samples.
type textSource struct {
	set      *Set
	open     func(io.Reader) (recordReader, error)
	tok      *tokenizer.Tokenizer
	options  Options
	windowed bool // each record is running text, cut into windows
	special  bool // with the special ids that the tokenizer adds
	separate bool // scored pairs are run one text at a time
	stride   int

	file    *os.File
	records recordReader
	first   *fields  // what the first record has
	win     *windows // of the current record
	counted int      // records, once counted; -1: too costly
}

// fields says what a record has; all records have to have the same.
type fields struct {
	text, pair, label, score bool
	arrays                   string
}

func fieldsOf(rec record) fields {
	return fields{rec.hasText, rec.hasPair, rec.label != nil, rec.score != nil, quotedList(sortedKeys(rec.arrays))}
}

// newText decides how the file is read; the tokenizer is loaded only when a
// record has text.
func newText(s *Set, ext string, o Options) (source, error) {
	t := &textSource{set: s, options: o}
	causal := s.shape.model.Causal(o.Vocab)
	switch o.TextAs {
	case "", "auto":
		t.windowed = causal
	case "lines":
	case "stream":
		t.windowed = true
	default:
		return nil, fail(s.Source, "unknown way to read text %q: want auto, lines or stream", o.TextAs)
	}
	s.Causal = causal || t.windowed && s.shape.hasLogits(o.Vocab)
	t.special = !causal && !t.windowed
	t.separate = !s.shape.model.judgesPairs()
	if o.Stride < 0 {
		return nil, fail(s.Source, "a stride of %d", o.Stride)
	}
	t.open = t.reader(ext)
	if ext == ".txt" && t.windowed {
		if err := t.load(); err != nil {
			return nil, err
		}
		return newStream(t)
	}
	if err := t.rewind(); err != nil {
		return nil, err
	}
	return t, nil
}

// reader returns what turns the bytes of such a file into records.
func (t *textSource) reader(ext string) func(io.Reader) (recordReader, error) {
	inputs := make([]string, len(t.set.shape.model.Inputs))
	for i, in := range t.set.shape.model.Inputs {
		inputs[i] = in.Name
	}
	return func(r io.Reader) (recordReader, error) {
		switch ext {
		case ".jsonl":
			return &jsonLines{newLineReader(r), inputs}, nil
		case ".csv":
			return newTable(csvRows(r, maxRecord))
		case ".tsv":
			return newTable(tsvRows(r))
		}
		return &plainLines{newLineReader(r)}, nil
	}
}

// hasLogits reports whether an output has one row of scores over a vocabulary
// per position.
func (sh *shaper) hasLogits(vocab int64) bool {
	return slices.ContainsFunc(sh.model.Outputs, func(out ort.Info) bool { return overVocabulary(out, vocab) })
}

// judgesPairs reports whether the model gives one number per sample, and so
// reads both texts of a pair together.
func (m ModelInfo) judgesPairs() bool {
	return len(m.Outputs) > 0 && len(m.Outputs[0].Dims) == 2 && m.Outputs[0].Dims[1] == 1
}

// load finds and reads the tokenizer, and settles the lengths.
func (t *textSource) load() error {
	s := t.set
	if s.shape.ids == "" {
		return fail(s.Source, "text for a model without ids [batch, sequence]: its inputs are %s", s.shape.inputNames())
	}
	path := t.options.Tokenizer
	if path == "" {
		path = filepath.Join(filepath.Dir(s.shape.model.Path), "tokenizer.json")
		if _, err := os.Stat(path); err != nil {
			return fail(s.Source, "text needs a tokenizer: give --tokenizer FILE (there is no tokenizer.json beside the model)")
		}
	}
	tok, err := tokenizer.Load(path)
	if err != nil {
		// The tokenizer's errors name its file.
		return &Error{File: s.Source, Err: err}
	}
	n, from, err := ContextLength(s.shape.model, t.options)
	if err != nil {
		return err
	}
	s.SeqLen = n
	t.tok = tok
	if t.stride = t.options.Stride; t.stride == 0 {
		t.stride = n
	}
	what := "texts are cut at"
	if t.windowed {
		what = "windows of"
	}
	s.note("%s %d ids (%s)", what, n, from)
	return nil
}

func (t *textSource) rewind() error {
	if err := t.close(); err != nil {
		return &Error{File: t.set.Source, Err: err}
	}
	file, err := os.Open(t.set.Source)
	if err != nil {
		return &Error{File: t.set.Source, Err: plainPathError(err)}
	}
	t.file, t.win = file, nil
	if t.records, err = t.open(file); err != nil {
		return &Error{File: t.set.Source, Err: err}
	}
	return nil
}

func (t *textSource) close() error {
	if t.file == nil {
		return nil
	}
	err := t.file.Close()
	t.file = nil
	return err
}

// next returns the next window of the current record, or reads on.
func (t *textSource) next() (Sample, error) {
	if t.win != nil {
		if sample, err := t.win.next(t); !errors.Is(err, io.EOF) {
			return sample, t.wrap(err)
		}
		t.win = nil
	}
	rec, err := t.records.read()
	if errors.Is(err, io.EOF) {
		return Sample{}, io.EOF
	}
	if err == nil {
		err = at(rec.place, t.checkFields(rec))
	}
	if err != nil {
		return Sample{}, t.wrap(err)
	}
	if rec.hasText && t.tok == nil {
		if err := t.load(); err != nil {
			return Sample{}, err
		}
	}
	sample, err := t.sample(rec)
	if err != nil {
		return Sample{}, t.wrap(at(rec.place, err))
	}
	return sample, nil
}

// wrap makes a data error of an error without a file.
func (t *textSource) wrap(err error) error {
	if err == nil {
		return nil
	}
	return &Error{File: t.set.Source, Err: err}
}

// checkFields refuses a record that differs from the first in what it has.
func (t *textSource) checkFields(rec record) error {
	got := fieldsOf(rec)
	if t.first == nil {
		t.first = &got
	}
	if got != *t.first {
		return fmt.Errorf("has %s, the first one has %s", got, *t.first)
	}
	return nil
}

// String lists the fields.
func (f fields) String() string {
	var parts []string
	for _, p := range []struct {
		has  bool
		name string
	}{{f.text, "text"}, {f.pair, "text_pair"}, {f.label, "label"}, {f.score, "score"}, {f.arrays != "none", "inputs " + f.arrays}} {
		if p.has {
			parts = append(parts, p.name)
		}
	}
	return strings.Join(parts, ", ")
}

// sample turns a record into its (first) sample.
func (t *textSource) sample(rec record) (Sample, error) {
	sample := Sample{Inputs: map[string]tensor.Tensor{}, Name: rec.place}
	var err error
	switch {
	case !rec.hasText:
	case t.windowed:
		if t.win, err = t.cut(rec); err != nil {
			return Sample{}, err
		}
		if sample, err = t.win.next(t); err != nil {
			return Sample{}, err
		}
	case rec.hasPair && rec.score != nil && t.separate:
		second, err := t.encode(rec.pair, nil)
		if err != nil {
			return Sample{}, fmt.Errorf("second text: %w", err)
		}
		second.Name = rec.place + ", second text"
		if sample, err = t.encode(rec.text, nil); err != nil {
			return Sample{}, err
		}
		sample.Pair = &second
	case rec.hasPair:
		sample, err = t.encode(rec.text, &rec.pair)
	default:
		sample, err = t.encode(rec.text, nil)
	}
	if err != nil {
		return Sample{}, err
	}
	if t.win == nil {
		sample.Name = rec.place
	}
	sample.Label, sample.Score = rec.label, rec.score
	return sample, t.addArrays(&sample, rec)
}

// addArrays adds the inputs that a .jsonl record brings itself.
func (t *textSource) addArrays(sample *Sample, rec record) error {
	for _, name := range sortedKeys(rec.arrays) {
		in, _ := t.set.shape.input(name)
		value, err := jsonTensor(rec.arrays[name], in)
		if err != nil {
			return fmt.Errorf("field %q: %w", name, err)
		}
		sample.Inputs[name] = value
	}
	return nil
}

// maxCounted is the size of a file that is read once more to count its records.
const maxCounted = 32 << 20

// len counts the records, unless each becomes an unknown number of windows.
func (t *textSource) len() (int, bool) {
	if t.counted == 0 {
		t.counted = t.count()
	}
	return t.counted, t.counted >= 0
}

func (t *textSource) count() int {
	if t.windowed {
		return -1
	}
	file, err := os.Open(t.set.Source)
	if err != nil {
		return -1
	}
	defer file.Close()
	if st, err := file.Stat(); err != nil || st.Size() > maxCounted {
		return -1
	}
	records, err := t.open(file)
	for n := 0; err == nil; n++ {
		if _, err = records.read(); errors.Is(err, io.EOF) {
			return n
		}
	}
	return -1
}
