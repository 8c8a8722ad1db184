package dataset

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"unicode/utf8"

	"optim/internal/tokenizer"
)

// windows cuts running text into windows of size ids that start every stride
// ids. The last partial window is dropped, but a text shorter than one window
// is one window.
type windows struct {
	ids          []int32
	size, stride int
	place        string // of the text in the file; empty: it is the file
	k            int
}

// count returns the number of windows.
func (w *windows) count() int {
	if len(w.ids) < w.size {
		return 1
	}
	return (len(w.ids)-w.size)/w.stride + 1
}

// next returns the next window as a sample.
func (w *windows) next(t *textSource) (Sample, error) {
	if w.k >= w.count() {
		return Sample{}, io.EOF
	}
	start := w.k * w.stride
	part := w.ids[start:min(start+w.size, len(w.ids))]
	ids := make([]int64, len(part))
	for i, id := range part {
		ids[i] = int64(id)
	}
	sample, err := t.build(ids, nil)
	if err != nil {
		return Sample{}, err
	}
	sample.Name = fmt.Sprintf("window %d", w.k)
	if w.place != "" {
		sample.Name = w.place + ", " + sample.Name
	}
	// The window before predicted up to its last id, which is this one's
	// id size-stride-1: new predictions begin there.
	if w.k > 0 && w.stride < w.size {
		sample.First = w.size - w.stride - 1
	}
	w.k++
	return sample, nil
}

// cut tokenizes a record as running text.
func (t *textSource) cut(rec record) (*windows, error) {
	var pair *string
	if rec.hasPair {
		pair = &rec.pair
	}
	enc, err := t.tok.EncodeWith(rec.text, pair, tokenizer.Options{})
	if err != nil {
		return nil, err
	}
	if len(enc.IDs) < 2 {
		return nil, fmt.Errorf("a text of %d ids: there is nothing to predict below 2", len(enc.IDs))
	}
	return &windows{ids: narrow(enc.IDs), size: t.set.SeqLen, stride: t.stride, place: rec.place}, nil
}

// narrow halves the memory of ids; a tokenizer's fit 31 bits.
func narrow(ids []int64) []int32 {
	out := make([]int32, len(ids))
	for i, id := range ids {
		out[i] = int32(id)
	}
	return out
}

// maxStream bounds a running text that is needed as a whole.
const maxStream = 512 << 20

// prefixMargin is the number of ids at the end of a cut text that are not
// trusted: only near the cut can they differ from those of the whole text.
const prefixMargin = 1024

// stream is a whole file of running text.
type stream struct {
	windows *windows
	text    *textSource
}

// newStream tokenizes the file: all of it, or when only some samples are wanted
// no more than they need.
func newStream(t *textSource) (source, error) {
	size, limit := t.set.SeqLen, t.options.Samples
	spread := t.options.Spread && limit > 0 && limit < maxStream && t.options.Stride == 0
	need := -1
	if limit > 0 && limit < maxStream && size+limit*t.stride < maxStream {
		need = size + (limit-1)*t.stride
	}
	read := func() ([]int32, error) { return t.readStream(need) }
	if spread {
		read = func() ([]int32, error) { return t.spreadIDs(limit) }
	}
	ids, err := read()
	if err != nil {
		return nil, &Error{File: t.set.Source, Err: err}
	}
	if len(ids) < 2 {
		return nil, fail(t.set.Source, "a text of %d ids: there is nothing to predict below 2", len(ids))
	}
	return &stream{&windows{ids: ids, size: size, stride: t.stride}, t}, nil
}

// readStream returns the ids of the file, or if need is not negative at least
// the first need of them, where there are so many.
func (t *textSource) readStream(need int) ([]int32, error) {
	file, err := os.Open(t.set.Source)
	if err != nil {
		return nil, plainPathError(err)
	}
	defer file.Close()
	part := int64(maxStream)
	if need >= 0 {
		part = min(part, int64(need)*8+1<<16)
	}
	var text bytes.Buffer
	for {
		if _, err := io.CopyN(&text, file, part+1-int64(text.Len())); err != nil && err != io.EOF {
			return nil, plainPathError(err)
		}
		whole := int64(text.Len()) <= part
		if !whole && part >= maxStream {
			return nil, fmt.Errorf("a running text of more than %d bytes: limit the number of samples", maxStream)
		}
		ids, err := t.streamIDs(text.Bytes(), whole)
		if err != nil {
			return nil, err
		}
		if whole {
			return ids, nil
		}
		if len(ids)-prefixMargin >= need {
			return ids[:need], nil
		}
		part = min(2*part, maxStream)
	}
}

// streamIDs tokenizes a text, or the beginning of one.
func (t *textSource) streamIDs(text []byte, whole bool) ([]int32, error) {
	for cut := 0; !whole && cut < utf8.UTFMax && !endsInRune(text); cut++ {
		text = text[:len(text)-1]
	}
	if !utf8.Valid(text) {
		return nil, fmt.Errorf("the text is not UTF-8")
	}
	enc, err := t.tok.EncodeWith(string(text), nil, tokenizer.Options{})
	if err != nil {
		return nil, err
	}
	return narrow(enc.IDs), nil
}

// endsInRune reports whether the last rune of text is complete.
func endsInRune(text []byte) bool {
	r, n := utf8.DecodeLastRune(text)
	return r != utf8.RuneError || n != 1
}

func (s *stream) next() (Sample, error) {
	sample, err := s.windows.next(s.text)
	if err != nil && err != io.EOF {
		err = s.text.wrap(err)
	}
	return sample, err
}
func (s *stream) rewind() error    { s.windows.k = 0; return nil }
func (s *stream) len() (int, bool) { return s.windows.count(), true }
func (s *stream) close() error     { return nil }
