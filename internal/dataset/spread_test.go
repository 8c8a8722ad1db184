package dataset

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestSpread: windows lie all over a text, whole ones, the same each time; a short text gives
// all that it has, and a stride of the user's own stands.
func TestSpread(t *testing.T) {
	var b strings.Builder
	for i := range 30000 {
		fmt.Fprintf(&b, "line %06d of the text goes on here, é\n", i)
	}
	for _, c := range []struct {
		bytes, samples, stride int
		like                   bool // the first windows
		want                   int
	}{
		{b.Len(), 4, 0, false, 4}, // large beside what is wanted: places are read
		{60000, 16, 0, false, 16}, // small: the whole text is read
		{3000, 500, 0, true, 0},   // all that it has
		{60000, 16, 32, true, 16},
	} {
		path := writeFile(t, "d.txt", []byte(b.String()[:c.bytes-c.bytes%41]))
		read := func(spread bool) (texts []string) {
			o := Options{Tokenizer: testdata(t, gptTokenizer), SeqLen: 64, Vocab: 2048, Samples: c.samples, Stride: c.stride, Spread: spread}
			for _, s := range all(t, open(t, path, decoder, o)) {
				ids := ints(t, s, "input_ids")
				if len(ids) != 64 {
					t.Errorf("a window of %d ids", len(ids))
				}
				texts = append(texts, fmt.Sprint(ids))
			}
			return texts
		}
		spread, first := read(true), read(false)
		if c.want > 0 && len(spread) != c.want || !slices.Equal(spread, read(true)) {
			t.Errorf("%d windows of %d bytes", len(spread), c.bytes)
		}
		if slices.Equal(spread, first) != c.like {
			t.Errorf("%d windows of %d bytes are the first ones: %v", c.samples, c.bytes, !c.like)
		}
	}
}
