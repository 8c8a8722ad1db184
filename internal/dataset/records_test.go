package dataset

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"optim/internal/tensor"
)

// readRecords reads all records of a text, and returns them in short form.
func readRecords(ext, data string, inputs ...string) ([]string, error) {
	set := &Set{shape: &shaper{}}
	for _, name := range inputs {
		set.shape.model.Inputs = append(set.shape.model.Inputs, info(name, tensor.Float32, "", 1))
	}
	t := textSource{set: set}
	r, err := t.reader(ext)(strings.NewReader(data))
	if err != nil {
		return nil, err
	}
	var out []string
	for {
		rec, err := r.read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		s := rec.place
		if rec.hasText {
			s += fmt.Sprintf(" text=%q", rec.text)
		}
		if rec.hasPair {
			s += fmt.Sprintf(" pair=%q", rec.pair)
		}
		if rec.label != nil {
			s += fmt.Sprint(" label=", *rec.label)
		}
		if rec.score != nil {
			s += fmt.Sprint(" score=", *rec.score)
		}
		for _, name := range sortedKeys(rec.arrays) {
			s += fmt.Sprintf(" %s=%s", name, rec.arrays[name])
		}
		out = append(out, s)
	}
}

func TestRecords(t *testing.T) {
	tests := []struct {
		name, ext, data string
		want            []string
	}{
		{"lines", ".txt", "\ufeffa b\n\n \t\r\n c \r\nd", []string{`line 1 text="a b"`, `line 4 text=" c "`, `line 5 text="d"`}},
		{"no lines", ".txt", "", nil},
		{"jsonl", ".jsonl", `{"text":"a","id":7}` + "\n\n" + `{"text":"b","text_pair":"c","label":3.0,"score":1.5,"x":null}`,
			[]string{`line 1 text="a"`, `line 3 text="b" pair="c" label=3 score=1.5`}},
		{"jsonl arrays", ".jsonl", `{"in":[[1,2]],"label":1}`, []string{`line 1 label=1 in=[[1,2]]`}},
		{"csv", ".csv", "\ufefflabel,text\n1,\"a, \"\"b\"\"\nc\"\n0,d\n", []string{`line 2 text="a, \"b\"\nc" label=1`, `line 4 text="d" label=0`}},
		{"tsv", ".tsv", "score\tsentence1\tsentence2\n4.4\t\"a\tb\"\n", []string{`line 2 text="\"a" pair="b\"" score=4.4`}},
		{"only header", ".csv", "text\n", nil},
	}
	for _, tt := range tests {
		got, err := readRecords(tt.ext, tt.data, "in")
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %q, %v, want %q", tt.name, got, err, tt.want)
		}
	}
}

func TestRecordErrors(t *testing.T) {
	tests := []struct{ name, ext, data, want string }{
		{"not UTF-8", ".txt", "a\nb\xff\n", "line 2 is not UTF-8"},
		{"not JSON", ".jsonl", "{\"text\":\"a\"}\n{text}\n", "line 2: not a JSON object"},
		{"no object", ".jsonl", "[1]\n", "line 1: not a JSON object"},
		{"no text", ".jsonl", `{"body":"a"}`, `line 1: no field "text" and none named like an input ("in"), only "body"`},
		{"text is a number", ".jsonl", `{"text":1}`, `field "text": not a string`},
		{"label is a word", ".jsonl", `{"text":"a","label":"good"}`, `label "\"good\"" is not an integer`},
		{"label is a fraction", ".jsonl", `{"text":"a","label":0.5}`, `label "0.5" is not an integer`},
		{"label is negative", ".csv", "text,label\na,-1\n", "line 2: label -1 is negative"},
		{"label is NaN", ".csv", "text,label\na,NaN\n", "not an integer"},
		{"score is NaN", ".csv", "text,score\na,NaN\n", `line 2: score "NaN" is not a number`},
		{"score is missing", ".csv", "text,score\na,\n", `score "" is not a number`},
		{"empty", ".csv", "", "want a header"},
		{"no known column", ".tsv", "a\tb\n", `no column "text" or "sentence1", only "a", "b"`},
		{"same column twice", ".csv", "text,sentence1\n", `the second is "sentence1"`},
		{"fields", ".tsv", "text\tlabel\na\n", "line 2: 1 fields, the header has 2"},
		{"quotes", ".csv", "text\n\"a\nb\n", "line 3"},
		{"not UTF-8", ".csv", "text\n\xff\n", "line 2 is not UTF-8"},
	}
	for _, tt := range tests {
		if _, err := readRecords(tt.ext, tt.data, "in"); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
}

// endless yields the same byte for ever.
type endless byte

func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(e)
	}
	return len(p), nil
}

// A line, or a quoted field, without end stops at the limit.
func TestRecordLimit(t *testing.T) {
	const limit = 1 << 20
	lines := newLineReader(endless('a'))
	lines.limit = limit
	if _, err := lines.next(); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("endless line: %v", err)
	}
	rows := csvRows(io.MultiReader(strings.NewReader("text\n\""), endless('a')), limit)
	if _, _, err := rows(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := rows(); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("endless field: %v", err)
	}
}

func TestJSONTensor(t *testing.T) {
	in := info("x", tensor.Float32, "batch", -1, 2)
	tests := []struct {
		raw   string
		shape tensor.Shape // nil: refused
		want  []float32
	}{
		{"[1, 2.5]", tensor.Shape{1, 2}, []float32{1, 2.5}},
		{"[[3, -1e2]]", tensor.Shape{1, 2}, []float32{3, -100}},
		{"[true, false]", tensor.Shape{1, 2}, []float32{1, 0}},
		{"[]", tensor.Shape{1, 0}, nil},
		{"[[], []]", tensor.Shape{2, 0}, nil},
		{raw: "1"}, {raw: "[[[1]]]"}, {raw: "[1, [2]]"}, {raw: "[[1], 2]"}, {raw: "[[1, 2], [3]]"}, {raw: "[[], [1]]"},
		{raw: `["a"]`}, {raw: "[null]"}, {raw: `{"a":1}`}, {raw: "[1e400]"}, {raw: "[9007199254740993, 0.5]"},
		{raw: strings.Repeat("[", 9) + strings.Repeat("]", 9)},
	}
	for _, tt := range tests {
		got, err := jsonTensor([]byte(tt.raw), in)
		if tt.shape == nil {
			if err == nil {
				t.Errorf("%s was read as %v", tt.raw, got.Shape)
			}
			continue
		}
		v := tensor.As[float32](got.Data)
		if err != nil || !got.Shape.Equal(tt.shape) || !slices.Equal(v, tt.want) {
			t.Errorf("%s: got %v %v, %v", tt.raw, got.Shape, v, err)
		}
	}
}

func FuzzRecords(f *testing.F) {
	for _, ext := range []string{".txt", ".jsonl", ".csv", ".tsv"} {
		f.Add(ext, "text,label\n\"a\",1\n")
		f.Add(ext, "score\ttext\n1\tb\n")
		f.Add(ext, `{"text":"a","label":1,"in":[[1,2],[3,4]]}`)
	}
	f.Fuzz(func(t *testing.T, ext, data string) {
		if !slices.Contains([]string{".txt", ".jsonl", ".csv", ".tsv"}, ext) {
			return
		}
		got, err := readRecords(ext, data, "in")
		if err == nil && strings.TrimSpace(data) == "" && len(got) > 0 {
			t.Errorf("records out of nothing: %q", got)
		}
	})
}

func FuzzJSONTensor(f *testing.F) {
	for _, s := range []string{"[1,2]", "[[1.5],[2]]", "[[],[]]", "[[[true]]]"} {
		f.Add([]byte(s))
	}
	in := info("x", tensor.Float64, "a b", -1, -1, -1)
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := jsonTensor(raw, in)
		if err != nil {
			return
		}
		if n, err := got.Shape.Bytes(got.DType); err != nil || n != int64(len(got.Data)) {
			t.Errorf("%s: shape %v with %d bytes", raw, got.Shape, len(got.Data))
		}
	})
}
