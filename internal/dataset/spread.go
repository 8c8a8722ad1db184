package dataset

import (
	"bytes"
	"io"
	"os"
	"unicode/utf8"
)

// spreadIDs returns the ids of n windows that lie evenly in a file of running text, one
// behind the other, or those of the whole text where it has no more: the beginning of a text
// need not be like the rest of it. Of a file that is large beside what is wanted only places
// are read, each from the beginning of a word on where there is one: windows begin anywhere, as
// those of an evaluation do.
func (t *textSource) spreadIDs(n int) ([]int32, error) {
	file, err := os.Open(t.set.Source)
	if err != nil {
		return nil, plainPathError(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, plainPathError(err)
	}
	size := int64(t.set.SeqLen)
	place := 16*size + 1<<12 // bytes that hold a window of most texts
	if !info.Mode().IsRegular() || info.Size() < 2*place*int64(n) {
		return t.spreadWhole(n)
	}
	var out []int32
	for i := range int64(n) {
		ids, err := t.windowAt(file, i*(info.Size()/int64(n)), place, int(size))
		if err != nil {
			return nil, err
		}
		out = append(out, ids...)
	}
	return out, nil
}

// spreadWhole reads the whole text and takes n windows out of it.
func (t *textSource) spreadWhole(n int) ([]int32, error) {
	ids, err := t.readStream(-1)
	size := t.set.SeqLen
	if err != nil || len(ids) < size {
		return ids, err
	}
	count := (len(ids)-size)/size + 1
	if count <= n {
		return ids, nil
	}
	var out []int32
	for i := range n {
		at := i * count / n * size
		out = append(out, ids[at:at+size]...)
	}
	return out, nil
}

// windowAt returns a window of the text that begins near a place; none where the text there
// is too dense to give one within twice the bytes.
func (t *textSource) windowAt(file io.ReaderAt, at, bytesWanted int64, size int) ([]int32, error) {
	for range 2 {
		text := make([]byte, bytesWanted)
		n, err := file.ReadAt(text, at)
		if err != nil && err != io.EOF {
			return nil, plainPathError(err)
		}
		text = text[:n]
		if space := bytes.IndexAny(text[:n/2], " \n"); at > 0 && space >= 0 {
			text = text[space:]
		}
		for len(text) > 0 && !utf8.RuneStart(text[0]) {
			text = text[1:]
		}
		ids, err := t.streamIDs(text, false)
		if err != nil {
			return nil, err
		}
		if len(ids) >= size+size/8 { // the last ids of a cut text may differ
			return ids[:size], nil
		}
		bytesWanted *= 2
	}
	return nil, nil
}
