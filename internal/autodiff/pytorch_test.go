package autodiff_test

import (
	"encoding/json"
	"flag"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "optim/internal/autodiff"
	"optim/internal/tensor"
)

var dump = flag.String("dump", "", "folder for the cases of the rules, as bench/peers/rules.py reads them")

// torchCase is what a case is made of, and what PyTorch says of it.
type torchCase struct {
	Inputs map[string][]float64 `json:"inputs,omitempty"`
	Seed   []float64            `json:"seed,omitempty"` // the gradient of the output
	Single bool                 `json:"single,omitempty"`
	Out    []float64            `json:"out,omitempty"`
	Grads  map[string][]float64 `json:"grads,omitempty"`
}

// drawn is a case with its random inputs, which are the same each time.
type drawn struct {
	g     *Graph
	feeds map[string]tensor.Tensor
	names []string
	out   string
	seed  tensor.Tensor
}

func (c ruleCase) title() string {
	if c.name == "" {
		return c.op
	}
	return c.op + "/" + c.name
}

func (c ruleCase) draw() drawn {
	rnd := rand.New(rand.NewPCG(7, 7))
	dtype := tensor.Float64
	if c.f32 {
		dtype = tensor.Float32
	}
	d := drawn{g: NewGraph(), feeds: map[string]tensor.Tensor{}}
	for i, a := range c.in {
		name := string(rune('a' + i))
		d.g.Input(name, Type{dtype, a.shape})
		d.feeds[name] = draw(rnd, dtype, a)
		d.names = append(d.names, name)
	}
	d.out = c.build(d.g, d.names)
	d.seed = draw(rnd, dtype, r(d.g.Shape(d.out)...))
	return d
}

// TestPyTorch compares outputs and gradients of every rule with those of PyTorch's own
// operators. The fixture was made by
//
//	go test ./internal/autodiff -run TestPyTorch -args -dump DIR
//	python bench/peers/rules.py DIR > internal/autodiff/testdata/pytorch.json
func TestPyTorch(t *testing.T) {
	if *dump != "" {
		writeCases(t, *dump)
		return
	}
	answers := fixture(t)
	for _, c := range cases() {
		t.Run(c.title(), func(t *testing.T) {
			want, ok := answers[c.title()]
			if !ok {
				t.Fatal("PyTorch was not asked: see bench/peers/rules.py")
			}
			compareTorch(t, c, want)
		})
	}
}

func fixture(t *testing.T) (answers map[string]torchCase) {
	t.Helper()
	b, err := os.ReadFile("testdata/pytorch.json")
	if err == nil {
		err = json.Unmarshal(b, &answers)
	}
	if err != nil {
		t.Fatal(err)
	}
	return answers
}

// trainedNormTitle is the case of a batch normalization in training.
const trainedNormTitle = "BatchNormalization/training"

func compareTorch(t *testing.T, c ruleCase, want torchCase) {
	d := c.draw()
	grads, err := d.g.VectorJacobian(map[string]string{d.out: d.g.Tensor(d.seed)}, d.names)
	if err != nil {
		t.Fatal(err)
	}
	d.g.Output("out", d.out)
	for _, v := range d.names {
		d.g.Output("d."+v, grads[v])
	}
	got, err := open(t, d.g).Run(d.feeds)
	if err != nil {
		t.Fatal(err)
	}
	tol := 1e-9
	if c.f32 {
		tol = 2e-5 // the runtime's kernels compute in float32
	}
	near(t, "out", floats(got["out"]), want.Out, tol)
	for _, v := range d.names {
		near(t, "d."+v, floats(got["d."+v]), want.Grads[v], tol)
	}
}

// near compares element by element, relative to the greatest.
func near(t *testing.T, what string, got, want []float64, tol float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s has %d elements, PyTorch's %d", what, len(got), len(want))
	}
	scale := 1.0
	for _, x := range want {
		scale = max(scale, math.Abs(x))
	}
	for i := range got {
		if !(math.Abs(got[i]-want[i]) <= tol*scale) {
			t.Fatalf("%s[%d] = %g, PyTorch's %g", what, i, got[i], want[i])
		}
	}
}

// writeCases writes the graph of each case as ONNX, and its numbers as JSON.
func writeCases(t *testing.T, folder string) {
	all := map[string]torchCase{}
	for _, c := range cases() {
		d := c.draw()
		tc := torchCase{Inputs: map[string][]float64{}, Seed: floats(d.seed), Single: c.f32}
		for name, x := range d.feeds {
			tc.Inputs[name] = floats(x)
		}
		d.g.Output("out", d.out)
		if _, ok := all[c.title()]; ok {
			t.Fatalf("two cases are called %s", c.title())
		}
		all[c.title()] = tc
		b, err := d.g.Model().Marshal()
		if err != nil {
			t.Fatal(err)
		}
		file := strings.NewReplacer("/", "_", ":", "_").Replace(c.title()) + ".onnx"
		if err := os.WriteFile(filepath.Join(folder, file), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	_, feeds, _, _, rnd := trainedNorm()
	norm := torchCase{Inputs: map[string][]float64{}, Seed: floats(draw(rnd, tensor.Float32, r(3, 2, 2)))}
	for name, x := range feeds {
		norm.Inputs[name] = floats(x)
	}
	all[trainedNormTitle] = norm
	b, err := json.Marshal(all)
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, "cases.json"), b, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}
