package decode

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"optim/internal/onnx"
	"optim/internal/ort"
	"optim/internal/ort/orttest"
	"optim/internal/tensor"
)

// greedy decodes by Session.Run: all ids in each run, and an empty cache.
func greedy(t *testing.T, s *ort.Session, prompt []int64, fresh int) []int64 {
	t.Helper()
	ids := slices.Clone(prompt)
	for range fresh {
		n := int64(len(ids))
		in := map[string]tensor.Tensor{}
		for _, info := range s.Inputs() {
			switch {
			case info.Name == "input_ids":
				in[info.Name] = tensor.Of(tensor.Int64, tensor.Shape{1, n}, slices.Clone(ids))
			case info.Name == "attention_mask":
				in[info.Name] = tensor.Of(tensor.Int64, tensor.Shape{1, n}, slices.Repeat([]int64{1}, int(n)))
			case strings.Contains(info.Name, "position"):
				v := make([]int64, n)
				for i := range v {
					v[i] = int64(i)
				}
				shape := tensor.Shape{1, n}
				in[info.Name] = tensor.Of(tensor.Int64, shape[2-len(info.Dims):], v)
			case info.Name == "use_cache_branch":
				in[info.Name] = tensor.Tensor{DType: tensor.Bool, Shape: tensor.Shape{1}, Data: []byte{0}}
			default:
				shape := tensor.Shape(slices.Clone(info.Dims))
				shape[len(shape)-2] = 0 // the positions are the last axis but one in all models here
				if shape[len(shape)-4] < 0 {
					shape[len(shape)-4] = 1
				}
				in[info.Name] = tensor.Tensor{DType: info.DType, Shape: shape}
			}
		}
		out, err := s.Run(in)
		if err != nil {
			t.Fatal(err)
		}
		logits, err := out["logits"].Float32s()
		if err != nil {
			t.Fatal(err)
		}
		shape := out["logits"].Shape
		row := logits[len(logits)-int(shape[2]):]
		best := 0
		for i, x := range row {
			if x > row[best] {
				best = i
			}
		}
		ids = append(ids, int64(best))
	}
	return ids[len(prompt):]
}

// sound checks what holds of every complete report.
func sound(t *testing.T, r Report, fresh, repeats int, cached bool) {
	t.Helper()
	list := []*Series{r.Whole}
	if cached {
		list = append(list, r.Cached)
		if r.Same == nil || !*r.Same || r.Gain == nil || *r.Gain != r.Cached.PerSecond/r.Whole.PerSecond {
			t.Errorf("same %v, gain %v", r.Same, r.Gain)
		}
	} else if r.Cached != nil || r.Same != nil || r.Gain != nil || len(r.Notes) != 1 {
		t.Errorf("%+v", r)
	}
	for _, s := range list {
		if s == nil || len(s.Steps) != fresh || s.Repeats != repeats || s.TTFT <= 0 || s.PerSecond <= 0 ||
			(s.TPOT > 0) != (fresh > 1) || s.TPOTP99 < s.TPOT || (s.Growth != nil) != (fresh > 2) {
			t.Errorf("%+v", s)
		}
	}
	if len(r.IDs) != fresh || r.New != fresh {
		t.Errorf("%d ids of %d", len(r.IDs), fresh)
	}
}

// TestToy: with the cache and without, the ids are those of plain runs, whatever
// the model's names, types and inputs, and for all lengths.
func TestToy(t *testing.T) {
	half := usual()
	half.dtype = tensor.Float16
	swapped := usual()
	swapped.swap = true
	branch := usual()
	branch.branch = true
	where := usual()
	where.where = true
	last := usual()
	last.last = true
	order := usual()
	order.past, order.now = [2]string{"cache_k", "cache_v"}, [2]string{"new_k", "new_v"}
	numbered := usual()
	numbered.past, numbered.now, numbered.swap = [2]string{"past_key_0", "past_value_0"}, [2]string{"present_key_0", "present_value_0"}, true
	joint := usual()
	joint.past, joint.now, joint.joint = [2]string{"past_0"}, [2]string{"present_0"}, true
	prompt := []int64{5, 11, 36, 0, 7}
	for name, y := range map[string]toy{
		"usual": usual(), "half": half, "swapped": swapped, "branch": branch, "where": where, "last": last,
		"order": order, "numbered": numbered, "joint": joint,
	} {
		t.Run(name, func(t *testing.T) {
			s, g := load(t, y.model())
			for _, c := range [][2]int{{5, 1}, {5, 2}, {5, 7}, {1, 1}, {1, 11}, {2, 10}} {
				p, fresh := prompt[:c[0]], c[1]
				r, err := Run(context.Background(), s, g, Options{Prompt: p, New: fresh, Repeats: 2})
				if err != nil {
					t.Fatal(err)
				}
				sound(t, r, fresh, 2, true)
				if want := greedy(t, s, p, fresh); !slices.Equal(r.IDs, want) {
					t.Errorf("%d + %d: %v, want %v", c[0], c[1], r.IDs, want)
				}
			}
		})
	}
}

// TestToyUsesItsCache: what was written depends on the past, so that a cache that
// is lost or mixed up would show.
func TestToyUsesItsCache(t *testing.T) {
	s, _ := load(t, usual().model())
	seen := map[int64]bool{}
	for first := range int64(vocab) {
		seen[greedy(t, s, []int64{first, 3, 4}, 1)[0]] = true
	}
	if len(seen) < 5 {
		t.Errorf("the id after three depends too little on the first: %v", seen)
	}
	if ids := greedy(t, s, []int64{1}, 11); slices.Equal(ids[1:], ids[:10]) {
		t.Errorf("always the same id: %v", ids)
	}
}

// TestRealModels decodes with and without a cache.
func TestRealModels(t *testing.T) {
	for name, cached := range map[string]bool{
		"testdata/models/tinygpt/tinygpt.onnx": false, "testdata/models/tinygpt/tinygpt-dynamo.onnx": false,
		"../shared/models/tinygpt/tinygpt-kv.onnx": true,
	} {
		path := filepath.Join(orttest.Root(t), filepath.FromSlash(name))
		if _, err := os.Stat(path); err != nil && strings.HasPrefix(name, "..") {
			t.Logf("%s is not there", name)
			continue
		}
		s, g := file(t, path)
		prompt := []int64{464, 7, 1999, 30, 31, 32, 33, 500}
		r, err := Run(context.Background(), s, g, Options{Prompt: prompt, New: 12, Repeats: 1})
		if err != nil {
			t.Fatal(err)
		}
		sound(t, r, 12, 1, cached)
		if want := greedy(t, s, prompt, 12); !slices.Equal(r.IDs, want) {
			t.Errorf("%s: %v, want %v", name, r.IDs, want)
		}
		// The whole context of 128, and one more.
		long := slices.Repeat(prompt, 15)
		if r, err = Run(context.Background(), s, g, Options{Prompt: long, New: 8, Repeats: 1}); err != nil {
			t.Fatal(err)
		}
		sound(t, r, 8, 1, cached)
		_, err = Run(context.Background(), s, g, Options{Prompt: long, New: 9, Repeats: 1})
		if err == nil || !strings.Contains(err.Error(), "are 129, and the model takes 128 (") || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDuration: repeats until the time is over, at least one.
func TestDuration(t *testing.T) {
	s, g := load(t, usual().model())
	for d, least := range map[time.Duration]int{time.Nanosecond: 1, 30 * time.Millisecond: 1} {
		var steps []Step
		r, err := Run(context.Background(), s, g, Options{Prompt: []int64{1}, New: 3, Duration: d, Progress: func(s Step) { steps = append(steps, s) }})
		if err != nil || r.Whole.Repeats < least || r.Whole.Repeats != r.Cached.Repeats {
			t.Errorf("%v: %+v, %v", d, r.Whole, err)
		}
		if want := 2 * (r.Whole.Repeats + 1); len(steps) != want || steps[0] != (Step{true, 0}) || steps[1] != (Step{false, 0}) || steps[2] != (Step{true, 1}) {
			t.Errorf("%d steps, want %d", len(steps), want)
		}
	}
}

// TestInterrupt: what was measured comes with the error of the context, wherever
// it ends.
func TestInterrupt(t *testing.T) {
	s, g := load(t, usual().model())
	run := func(stop Step) Report {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		r, err := Run(ctx, s, g, Options{Prompt: []int64{1, 2}, New: 4, Repeats: 5, Progress: func(s Step) {
			if s == stop {
				cancel()
			}
		}})
		if err != context.Canceled || r.Prompt != 2 || r.New != 4 {
			t.Errorf("%+v: %+v, %v", stop, r, err)
		}
		return r
	}
	if r := run(Step{true, 0}); r.Cached != nil || r.Whole != nil || r.IDs != nil {
		t.Errorf("while warming up: %+v", r)
	}
	if r := run(Step{true, 1}); r.Cached != nil || r.Whole != nil || r.Same == nil || len(r.IDs) != 4 {
		t.Errorf("before the first: %+v", r)
	}
	if r := run(Step{false, 1}); r.Cached == nil || r.Cached.Repeats != 1 || r.Whole != nil || r.Gain != nil {
		t.Errorf("between the ways: %+v", r)
	}
	if r := run(Step{false, 3}); r.Cached == nil || r.Cached.Repeats != 3 || r.Whole.Repeats != 2 || r.Gain == nil {
		t.Errorf("in the middle: %+v", r)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Run(ctx, s, g, Options{Prompt: []int64{1}, New: 1}); err != context.Canceled {
		t.Error(err)
	}
}

// TestInterruptInSequence: steps of a sequence that was not completed count.
func TestInterruptInSequence(t *testing.T) {
	ms := time.Millisecond
	w := measured{times: [][]time.Duration{{10 * ms, 2 * ms, 3 * ms, 5 * ms}, {12 * ms, 4 * ms}}, repeats: 1}
	s := w.series()
	if !slices.Equal(s.Steps, []float64{11, 3, 3, 5}) || s.TTFT != 11 || s.TPOT != 3.5 || s.Repeats != 1 {
		t.Errorf("%+v", s)
	}
	if want := 6 / 0.036; math.Abs(s.PerSecond-want) > 1e-9 {
		t.Errorf("%g tokens a second, want %g", s.PerSecond, want)
	}
	if s.Growth == nil || math.Abs(*s.Growth-1000) > 1e-9 {
		t.Errorf("growth %v, want 1000", s.Growth)
	}
	if (&measured{}).series() != nil {
		t.Error("a series of nothing")
	}
}

// TestBest: with the cache where there is one.
func TestBest(t *testing.T) {
	cached, whole := &Series{}, &Series{}
	if (*Report)(nil).Best() != nil || (&Report{Whole: whole}).Best() != whole || (&Report{Cached: cached, Whole: whole}).Best() != cached {
		t.Error("another series is the best")
	}
}

// TestSlope compares with the normal equations.
func TestSlope(t *testing.T) {
	for _, v := range [][]float64{{1, 2}, {3, 1, 4, 1, 5, 9, 2, 6}, {2, 2, 2}} {
		var sx, sy, sxx, sxy float64
		for i, y := range v {
			x := float64(i)
			sx, sy, sxx, sxy = sx+x, sy+y, sxx+x*x, sxy+x*y
		}
		n := float64(len(v))
		want := (n*sxy - sx*sy) / (n*sxx - sx*sx)
		if got := slope(v); math.Abs(got-want) > 1e-12 {
			t.Errorf("%v: %g, want %g", v, got, want)
		}
	}
}

// TestRefuses what cannot be decoded, and says why.
func TestRefuses(t *testing.T) {
	s, g := load(t, usual().model())
	for want, o := range map[string]Options{
		"at least one id":                     {New: 1},
		"decoding 0 ids":                      {Prompt: []int64{1}},
		"decoding -1 ids":                     {Prompt: []int64{1}, New: -1},
		"at most 1048576":                     {Prompt: []int64{1}, New: math.MaxInt},
		"negative":                            {Prompt: []int64{1}, New: 1, Repeats: -1},
		"are 13, and the model takes 12 (the": {Prompt: []int64{1}, New: 12},
		"id 1 of the prompt is 37":            {Prompt: []int64{1, 37}, New: 1},
		"id 0 of the prompt is -1":            {Prompt: []int64{-1}, New: 1},
		"GB of memory":                        {Prompt: []int64{1}, New: 1, MaxBytes: 1},
	} {
		r, err := Run(context.Background(), s, g, o)
		if err == nil || !strings.Contains(err.Error(), want) || r.Whole != nil {
			t.Errorf("want %q: %v", want, err)
		}
	}
}

// TestRefusesModels that are no causal language models, or cannot grow.
func TestRefusesModels(t *testing.T) {
	edit := func(f func(m *onnx.Model)) *onnx.Model {
		m := usual().model()
		f(m)
		return m
	}
	input := func(m *onnx.Model, name string) *onnx.ValueInfo {
		return m.Graph.Inputs[slices.IndexFunc(m.Graph.Inputs, func(v *onnx.ValueInfo) bool { return v.Name == name })]
	}
	for want, m := range map[string]*onnx.Model{
		"open sequence dimension": edit(func(m *onnx.Model) { input(m, "input_ids").Type.Dims[1] = onnx.Dim{Value: 8} }),
		"a batch of 1":            edit(func(m *onnx.Model) { input(m, "input_ids").Type.Dims[0] = onnx.Dim{Value: 8} }),
		"a cache of fixed size":   edit(func(m *onnx.Model) { input(m, "past_key_values.0.key").Type.Dims[2] = onnx.Dim{Value: 8} }),
		`input "extra" (float32`: edit(func(m *onnx.Model) {
			m.Graph.Inputs = append(m.Graph.Inputs, open("extra", tensor.Float32, 1))
			m.Graph.Nodes = append(m.Graph.Nodes, onnx.NewNode("Identity", "extra2", []string{"extra"}, []string{"extra2"}))
			m.Graph.Outputs = append(m.Graph.Outputs, open("extra2", tensor.Float32, 1))
		}),
		"cannot be told which belongs to which": edit(func(m *onnx.Model) { m.Graph.Outputs = m.Graph.Outputs[1:] }),
		"are not numbers": edit(func(m *onnx.Model) {
			head := m.Graph.Initializers[3]
			v := make([]float32, 2*heads*width*vocab)
			v[5] = float32(math.NaN())
			*head = *onnx.NewTensor("head", tensor.Of(tensor.Float32, tensor.Shape{2 * heads * width, vocab}, v))
		}),
	} {
		s, g := load(t, m)
		_, err := Run(context.Background(), s, g, Options{Prompt: []int64{1, 2}, New: 2, Repeats: 1})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "model.onnx: ") {
			t.Errorf("want %q: %v", want, err)
		}
	}
	for _, name := range []string{"digits-mlp/digits-mlp.onnx", "resnet-tiny/resnet-tiny.onnx"} {
		s, g := file(t, filepath.Join(orttest.Root(t), "testdata", "models", filepath.FromSlash(name)))
		if _, err := Run(context.Background(), s, g, Options{Prompt: []int64{1}, New: 1}); err == nil || !strings.Contains(err.Error(), "no causal language model") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestClosed: a session that is gone is an error, not a crash.
func TestClosed(t *testing.T) {
	s, g := load(t, usual().model())
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(context.Background(), s, g, Options{Prompt: []int64{1}, New: 1}); !errors.Is(err, ort.ErrClosed) {
		t.Error(err)
	}
}

// TestNeeds compares the memory with what is in fact bound.
func TestNeeds(t *testing.T) {
	m := &model{width: 100, logits: ort.Info{Name: "logits", DType: tensor.Float16},
		caches: []cache{{past: ort.Info{DType: tensor.Float32}, shape: tensor.Shape{1, 2, 0, 8}, axis: 2}}}
	const prompt, fresh = 10, 7
	want := int64(16*100*2 + 10*100*2 + 2*16*2*8*4 + 7*600*(3+8))
	if got, err := m.needs(prompt, fresh); err != nil || got != want {
		t.Errorf("%d, %v, want %d", got, err, want)
	}
	m.width = math.MaxInt64 / 4
	if _, err := m.needs(prompt, fresh); err == nil {
		t.Error("a size that overflows is no error")
	}
}
