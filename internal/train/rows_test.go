package train

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"optim/internal/dataset"
	"optim/internal/ort"
	"optim/internal/ort/orttest"
	"optim/internal/tensor"
)

// textRows reads a file for tinygpt-s.
func textRows(t *testing.T, data string, seq int, as string) *Rows {
	t.Helper()
	path := testdata(t, "models/tinygpt-s/tinygpt-s.onnx")
	s := orttest.Session(t, path, ort.Options{})
	o := dataset.Options{SeqLen: seq, Tokenizer: testdata(t, "models/tinygpt/tokenizer.json"), Vocab: 2048, TextAs: as}
	set, err := dataset.Open(data, dataset.ModelInfo{Path: path, Inputs: s.Inputs(), Outputs: s.Outputs()}, o)
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	rows, err := ReadRows(t.Context(), set)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// TestNextIDs: of a running text each position is to predict the id after it, within its
// window; windows have no padding.
func TestNextIDs(t *testing.T) {
	rows := textRows(t, testdata(t, "text/valid.txt"), 16, "stream")
	if rows.Kind != NextIDs || rows.Length != 16 {
		t.Fatalf("%q rows of %d", rows.Kind, rows.Length)
	}
	for _, r := range rows.list[:20] {
		ids, labels := tensor.As[int64](r["input_ids"].Data), tensor.As[int64](r[Labels].Data)
		if !slices.Equal(labels[:15], ids[1:]) || labels[15] != Ignore {
			t.Fatalf("ids %v, labels %v", ids, labels)
		}
		if slices.Contains(r[Counted].Data, 0) {
			t.Fatalf("counted %v", r[Counted].Data)
		}
	}
}

// TestPaddedTexts: shorter texts are padded to the longest, and padding neither counts
// nor is predicted.
func TestPaddedTexts(t *testing.T) {
	file := filepath.Join(t.TempDir(), "texts.jsonl")
	text := `{"text": "A short one."}` + "\n" + `{"text": "And a text that is rather longer than the first one was."}` + "\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	rows := textRows(t, file, 64, "lines")
	short, long := rows.list[0], rows.list[1]
	n := slices.Index(short[Counted].Data, 0)
	if n < 2 || slices.Contains(long[Counted].Data, 0) || !short["input_ids"].Shape.Equal(long["input_ids"].Shape) {
		t.Fatalf("counted %v and %v", short[Counted].Data, long[Counted].Data)
	}
	for i, label := range tensor.As[int64](short[Labels].Data) {
		if known := i < n-1; known != (label != Ignore) {
			t.Errorf("label %d is %d with %d real ids", i, label, n)
		}
	}
}

// TestCopyingIsNoPrediction: a model that repeats its input has a high loss, and one that
// knows the next id none.
func TestCopyingIsNoPrediction(t *testing.T) {
	rows := textRows(t, testdata(t, "text/valid.txt"), 16, "stream")
	r := rows.list[3]
	ids := tensor.As[int64](r["input_ids"].Data)
	logits := func(of func(i int) int64) tensor.Tensor {
		v := make([]float32, 16*2048)
		for i := range 16 {
			v[i*2048+int(of(i))] = 20
		}
		return tensor.Of(f32, tensor.Shape{1, 16, 2048}, v)
	}
	loss := func(l tensor.Tensor) float32 {
		return evaluate(t, map[string]tensor.Tensor{"s": l, "l": r[Labels]}, crossEntropyOf)[0]
	}
	copied := loss(logits(func(i int) int64 { return ids[i] }))
	next := loss(logits(func(i int) int64 { return ids[min(i+1, 15)] }))
	if copied < 10 || next > 0.01 {
		t.Errorf("copying costs %v, knowing %v", copied, next)
	}
}

// TestFixedBatch: a model that takes one sample at a time is trained one by one.
func TestFixedBatch(t *testing.T) {
	s := orttest.Session(t, testdata(t, digitsModel), ort.Options{})
	inputs := slices.Clone(s.Inputs())
	inputs[0].Dims = slices.Clone(inputs[0].Dims)
	inputs[0].Dims[0] = 1
	set, err := dataset.Open(testdata(t, "digits/calib.npz"), dataset.ModelInfo{Inputs: inputs, Outputs: s.Outputs()}, dataset.Options{Samples: 3})
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	rows, err := ReadRows(t.Context(), set)
	if err != nil {
		t.Fatal(err)
	}
	if rows.Fixed != 1 || rows.Len() != 3 || rows.list[2][inputs[0].Name].Shape[0] != 1 {
		t.Errorf("%d rows for batches of %d: %v", rows.Len(), rows.Fixed, rows.list[2][inputs[0].Name].Shape)
	}
}
