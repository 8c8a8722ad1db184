package onnx

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"optim/internal/tensor"
)

// pattern is the content of computed tensor number i.
func pattern(i int, dst []byte) {
	for k := range dst {
		dst[k] = byte(i + k*7)
	}
}

// computed returns a model whose weights are computed, of growing, shrinking
// and odd sizes, and the same model with its weights in memory.
func computed(sizes ...int64) (lazy, plain *Model) {
	lazy, plain = tiny(op("a", []string{"x"}, "y")), tiny(op("a", []string{"x"}, "y"))
	for i, n := range sizes {
		name, shape := fmt.Sprint("q", i), tensor.Shape{n}
		data := make([]byte, n)
		pattern(i, data)
		lazy.Graph.Initializers = append(lazy.Graph.Initializers,
			NewLazyTensor(name, tensor.Uint8, shape, func(dst []byte) error {
				for k := range dst {
					dst[k] += byte(i + k*7) // shows whether dst was zeroed
				}
				return nil
			}))
		plain.Graph.Initializers = append(plain.Graph.Initializers,
			NewTensor(name, tensor.Of(tensor.Uint8, shape, data)))
	}
	return lazy, plain
}

var oddSizes = []int64{0, 1, 1023, 1024, 4095, 4096, 4097, 65535, 65536, 65537, 200000, 70000, 5000, 5 << 20, 8000, 300000}

func TestWriteLazy(t *testing.T) {
	lazy, plain := computed(oddSizes...)
	want := mustMarshal(t, plain)
	if !bytes.Equal(mustMarshal(t, lazy), want) {
		t.Error("Marshal computes other bytes")
	}
	folder := t.TempDir()
	for _, external := range []string{"never", "always"} {
		var first []byte
		for _, workers := range []int{0, 1, 2, 7} {
			path := filepath.Join(folder, "m.onnx")
			var done, total int64
			r, err := lazy.WriteFile(path, WriteOptions{External: external, DataPath: path + ".data", Workers: workers,
				Progress: func(d, n int64) {
					if d <= done || d > n {
						t.Errorf("progress went from %d to %d of %d", done, d, n)
					}
					done, total = d, n
				}})
			if err != nil {
				t.Fatal(err)
			}
			if total != r.Size+r.DataSize || done > total {
				t.Errorf("progress ended at %d of %d, written %d", done, total, r.Size+r.DataSize)
			}
			if got := checkCopy(t, plain, path, r); !bytes.Equal(mustMarshal(t, got), want) {
				t.Error("another model was written")
			}
			written, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if first == nil {
				first = written
			} else if !bytes.Equal(first, written) {
				t.Error("the bytes depend on the number of workers")
			}
			if err := errors.Join(os.Remove(path), os.RemoveAll(path+".data")); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestPrefetchBudget checks that what is computed ahead stays within the
// budget, and that a tensor larger than it passes alone.
func TestPrefetchBudget(t *testing.T) {
	const budget = 1000
	sizes := []int64{600, 600, 5000, 10, 10, 990, 3000, 3000, 1, 1000, 999}
	var mu sync.Mutex
	var ahead, most int64
	var holes []hole
	for i, n := range sizes {
		holes = append(holes, hole{n: n, t: NewLazyTensor("", tensor.Uint8, tensor.Shape{n}, func(dst []byte) error {
			mu.Lock()
			ahead += min(n, budget)
			most = max(most, ahead)
			mu.Unlock()
			pattern(i, dst)
			return nil
		})})
	}
	p := newPrefetch(t.Context(), holes, 3, budget)
	defer p.stop()
	for i, n := range sizes {
		j, err := p.take()
		if err != nil {
			t.Fatal(err)
		}
		want := make([]byte, n)
		pattern(i, want)
		if !bytes.Equal(j.buf, want) {
			t.Errorf("tensor %d is wrong", i)
		}
		mu.Lock()
		ahead -= min(n, budget)
		mu.Unlock()
		p.put(j)
	}
	if most > budget {
		t.Errorf("%d bytes were ahead", most)
	}
}

// TestWriteFails checks that a failed or cancelled write leaves no file.
func TestWriteFails(t *testing.T) {
	broken := errors.New("broken")
	for _, external := range []string{"never", "always"} {
		for name, c := range map[string]struct {
			fill func(cancel func()) error
			want error
		}{
			"error":     {func(func()) error { return broken }, broken},
			"cancelled": {func(cancel func()) error { cancel(); return nil }, context.Canceled},
		} {
			t.Run(external+" "+name, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				lazy, _ := computed(oddSizes...)
				var calls atomic.Int32
				at := NewLazyTensor("bad", tensor.Uint8, tensor.Shape{100000}, func([]byte) error {
					calls.Add(1)
					return c.fill(cancel)
				})
				lazy.Graph.Initializers = slices.Insert(lazy.Graph.Initializers, 12, at)
				folder := t.TempDir()
				path := filepath.Join(folder, "m.onnx")
				_, err := lazy.WriteFile(path, WriteOptions{External: external, DataPath: path + ".data", Context: ctx})
				if !errors.Is(err, c.want) || calls.Load() == 0 {
					t.Errorf("error %v after %d calls", err, calls.Load())
				}
				if left, _ := os.ReadDir(folder); len(left) != 0 {
					t.Errorf("left %v", left)
				}
			})
		}
	}
}

func TestWriteModelFailsAfterData(t *testing.T) {
	lazy, _ := computed(5000)
	data := filepath.Join(t.TempDir(), "m.data")
	_, err := lazy.WriteFile(filepath.Join(t.TempDir(), "none", "m.onnx"), WriteOptions{External: "always", DataPath: data})
	wantError(t, err, "m.onnx", "no such file")
	if _, err := os.Stat(data); err == nil {
		t.Error("the data file was left")
	}
}

func TestWriteRefuses(t *testing.T) {
	folder := copyFolder(t, filepath.Join(root, "testdata/models/digits-mlp"))
	path := filepath.Join(folder, "digits-mlp-ext.onnx")
	m := mustOpen(t, path)
	other := tiny(op("a", []string{"x"}, "y"))
	other.Graph.Initializers = append(other.Graph.Initializers, m.Graph.Initializers[0])
	data := filepath.Join(folder, "digits-mlp-ext.data")
	link := filepath.Join(folder, "link.onnx")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(data)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		m    *Model
		path string
		o    WriteOptions
		want string
	}{
		"source":         {m, path, WriteOptions{}, "read from"},
		"link to source": {m, link, WriteOptions{}, "read from"},
		"source's data":  {m, filepath.Join(folder, "new.onnx"), WriteOptions{External: "always", DataPath: data}, "read from"},
		"other's data":   {other, data, WriteOptions{}, "read from"},
		"mode":           {m, filepath.Join(folder, "new.onnx"), WriteOptions{External: "perhaps"}, `"perhaps"`},
		"no data path":   {m, filepath.Join(folder, "new.onnx"), WriteOptions{External: "always"}, "external data"},
		"one file twice": {m, filepath.Join(folder, "new.onnx"), WriteOptions{External: "always", DataPath: filepath.Join(folder, "new.onnx")}, "of its own"},
		"location out":   {m, filepath.Join(folder, "new.onnx"), WriteOptions{External: "always", DataPath: filepath.Join(folder, "d"), DataLocation: "../d"}, `"../d"`},
		"device":         {m, "/dev/null", WriteOptions{}, "device"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.m.WriteFile(c.path, c.o)
			wantError(t, err, c.want)
		})
	}
	if after, err := os.ReadFile(data); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the source was changed (%v)", err)
	}
	if _, err := os.Stat(filepath.Join(folder, "new.onnx")); err == nil {
		t.Error("a file was left")
	}
}

// TestDataLocation writes the two files where they are not to stay.
func TestDataLocation(t *testing.T) {
	lazy, plain := computed(oddSizes...)
	folder := t.TempDir()
	r, err := lazy.WriteFile(filepath.Join(folder, "tmp1"), WriteOptions{
		External: "always", DataPath: filepath.Join(folder, "tmp2"), DataLocation: "m.onnx.data"})
	if err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{"tmp1": "m.onnx", "tmp2": "m.onnx.data"} {
		if err := os.Rename(filepath.Join(folder, from), filepath.Join(folder, to)); err != nil {
			t.Fatal(err)
		}
	}
	checkCopy(t, plain, filepath.Join(folder, "m.onnx"), r)
}

// TestTwoGigabytes checks what is decided above the limit, without writing.
func TestTwoGigabytes(t *testing.T) {
	huge := func(n int64) *Model {
		m := tiny(op("a", []string{"x"}, "y"))
		for i := range int64(4) {
			m.Graph.Initializers = append(m.Graph.Initializers, NewLazyTensor(fmt.Sprint("h", i), tensor.Uint8,
				tensor.Shape{n / 4}, func([]byte) error { return errors.New("computed") }))
		}
		return m
	}
	msg, l, err := huge(1<<31-4096).encode("m", WriteOptions{DataPath: "d"})
	if err != nil || l != nil || msg.size() > maxMessage {
		t.Errorf("just below the limit: %v, %v", l, err)
	}
	_, l, err = huge(1<<31).encode("m", WriteOptions{DataPath: "d"})
	if err != nil || l == nil || len(l.holes) != 4 || l.size != 1<<31 {
		t.Errorf("at the limit: %v", err)
	}
	_, l, err = huge(1<<36).encode("m", WriteOptions{DataPath: "d"})
	if err != nil || l == nil || l.size != 1<<36 {
		t.Errorf("far above the limit: %v", err)
	}
	if _, _, err = huge(1<<31).encode("m", WriteOptions{External: "never"}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("never: %v", err)
	}
	if _, err := huge(1 << 31).Marshal(); !errors.Is(err, ErrTooLarge) {
		t.Errorf("Marshal: %v", err)
	}
	m := tiny(withBody(op("a", []string{"x"}, "y"), TensorAttr("value",
		NewLazyTensor("c", tensor.Uint8, tensor.Shape{1 << 31}, nil))))
	if _, _, err = m.encode("m", WriteOptions{DataPath: "d"}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("an attribute above the limit: %v", err)
	}
}

func TestHash(t *testing.T) {
	lazy, plain := computed(oddSizes...)
	a, err := lazy.Hash()
	b, err2 := plain.Hash()
	if err != nil || err2 != nil || a != b || len(a) != 32 {
		t.Errorf("%q, %v and %q, %v", a, err, b, err2)
	}
	parsed, err := Parse(mustMarshal(t, plain))
	if err != nil {
		t.Fatal(err)
	}
	if c, err := parsed.Hash(); err != nil || c != a {
		t.Errorf("parsed: %q, %v", c, err)
	}
	plain.SetMeta("k", "v")
	if c, err := plain.Hash(); err != nil || c == a {
		t.Errorf("changed: %q, %v", c, err)
	}
}
