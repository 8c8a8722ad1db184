package dataset

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"optim/internal/ort"
	"optim/internal/tensor"
)

// shaper knows what each input of the model is for, and how large it has to be.
type shaper struct {
	model ModelInfo
	dims  map[string][]int64 // by input; -1: whatever the data brings

	// Names of the inputs with a known meaning; empty: the model has none.
	ids, mask, types, positions string
}

// newShaper resolves the sizes of all inputs: what the model fixes, then
// Options.Shapes, then Options.Dims.
func newShaper(model ModelInfo, o Options) (*shaper, error) {
	sh := &shaper{model: model, dims: map[string][]int64{}}
	symbols := map[string]bool{}
	for _, in := range model.Inputs {
		d, err := resolve(in, o, symbols)
		if err != nil {
			return nil, &Error{File: model.Path, Err: err}
		}
		sh.dims[in.Name] = d
	}
	for _, name := range sortedKeys(o.Shapes) {
		if sh.dims[name] == nil {
			return nil, fail(model.Path, "shape for %q: the model has no such input, it has %s", name, sh.inputNames())
		}
	}
	for _, name := range sortedKeys(o.Dims) {
		if !symbols[name] {
			return nil, fail(model.Path, "size for dimension %q: the model's inputs have no such dimension, they have %s", name, quotedList(sortedKeys(symbols)))
		}
	}
	sh.assignRoles()
	return sh, nil
}

// CheckShapes reports what of o.Shapes and o.Dims does not fit the model's inputs:
// an unknown name, or a size other than the model's own.
func CheckShapes(model ModelInfo, o Options) error {
	_, err := newShaper(model, o)
	return err
}

// resolve returns the sizes of one input and collects its symbols.
func resolve(in ort.Info, o Options, symbols map[string]bool) ([]int64, error) {
	// Never nil, also for a scalar: nil means that there is no such input.
	d := append(make([]int64, 0, len(in.Dims)), in.Dims...)
	shape, given := o.Shapes[in.Name]
	if given && len(shape) != len(d) {
		return nil, fmt.Errorf("shape %v for input %q, which has %d dimensions", shape, in.Name, len(d))
	}
	for i := range d {
		if i < len(in.Symbols) && in.Symbols[i] != "" {
			symbols[in.Symbols[i]] = true
		}
		if given && d[i] >= 0 && d[i] != shape[i] {
			return nil, fmt.Errorf("shape %v for input %q, which is %s", shape, in.Name, in)
		}
		if d[i] >= 0 {
			continue
		}
		if given {
			d[i] = shape[i]
		} else if i < len(in.Symbols) {
			if v, ok := o.Dims[in.Symbols[i]]; ok {
				d[i] = v
			}
		}
	}
	return d, nil
}

// assignRoles finds the inputs that exporters name by convention.
func (sh *shaper) assignRoles() {
	for _, in := range sh.model.Inputs {
		name := strings.ToLower(in.Name)
		has := func(s string) bool { return strings.Contains(name, s) }
		switch {
		case len(in.Dims) != 2 || IsPast(in):
		case has("token_type") || has("segment"):
			sh.types = first(sh.types, in.Name)
		case has("position"):
			sh.positions = first(sh.positions, in.Name)
		case has("mask"):
			sh.mask = first(sh.mask, in.Name)
		case in.DType != tensor.Int64 && in.DType != tensor.Int32:
		case name == "input_ids":
			sh.ids = in.Name
		default:
			sh.ids = first(sh.ids, in.Name)
		}
	}
}

// input returns the model's input of that name.
func (sh *shaper) input(name string) (ort.Info, bool) {
	i := slices.IndexFunc(sh.model.Inputs, func(in ort.Info) bool { return in.Name == name })
	if i < 0 {
		return ort.Info{}, false
	}
	return sh.model.Inputs[i], true
}

// inputNames lists the model's inputs for a message.
func (sh *shaper) inputNames() string {
	names := make([]string, len(sh.model.Inputs))
	for i, in := range sh.model.Inputs {
		names[i] = in.Name
	}
	return quotedList(names)
}

// sequence returns the fixed length of the ids, or -1.
func (sh *shaper) sequence() int64 {
	if d := sh.dims[sh.ids]; len(d) == 2 {
		return d[1]
	}
	return -1
}

// fits checks the shape of a sample's tensor against the input. The leading
// axis of a sample is 1 whatever batch the model wants.
func (sh *shaper) fits(in ort.Info, s tensor.Shape) error {
	want := sh.dims[in.Name]
	ok := len(s) == len(want)
	for i := 0; ok && i < len(s); i++ {
		ok = want[i] < 0 || want[i] == s[i] || i == 0 && s[0] == 1
	}
	if ok {
		return nil
	}
	wanted := in
	wanted.Dims = want
	return fmt.Errorf("input %q: a sample has shape %v, the model wants %s", in.Name, s, wanted)
}

// Causal reports whether the model looks like a causal language model: from
// ids [batch, sequence] to logits [batch, sequence, vocabulary]. vocab is the
// number of rows of the embedding table, 0 where it is unknown. An encoder with
// a language model's head has the same outputs; it is told by its token types.
func (m ModelInfo) Causal(vocab int64) bool { return m.Logits(vocab) != "" }

// Logits returns the name of the output of a causal language model; empty: the
// model is none.
func (m ModelInfo) Logits(vocab int64) string {
	sh := &shaper{model: m}
	sh.assignRoles()
	ids, ok := sh.input(sh.ids)
	if !ok || sh.types != "" {
		return ""
	}
	for _, out := range m.Outputs {
		if overVocabulary(out, vocab) && sameDim(ids, 1, out, 1) {
			return out.Name
		}
	}
	return ""
}

// overVocabulary reports whether an output is logits over a vocabulary, by its
// last dimension. Where the vocabulary is unknown, hidden states look alike:
// then the name has to say so, and there have to be more than any tag set has.
func overVocabulary(out ort.Info, vocab int64) bool {
	if !out.DType.IsFloat() || len(out.Dims) != 3 {
		return false
	}
	last := out.Dims[2]
	if vocab > 0 && last >= 0 {
		return last == vocab
	}
	return strings.Contains(strings.ToLower(out.Name), "logit") && (last < 0 || last >= 256)
}

// sameDim reports whether two dimensions can be the same: equal numbers, equal
// symbols, or a number or symbol beside an unnamed one.
func sameDim(a ort.Info, i int, b ort.Info, j int) bool {
	if a.Dims[i] >= 0 && b.Dims[j] >= 0 {
		return a.Dims[i] == b.Dims[j]
	}
	symbol := func(in ort.Info, k int) string {
		if in.Dims[k] < 0 && k < len(in.Symbols) {
			return in.Symbols[k]
		}
		return ""
	}
	x, y := symbol(a, i), symbol(b, j)
	return x == "" || y == "" || x == y
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

// quotedList returns `"a", "b"`, or "none"; a long list is cut.
func quotedList(names []string) string {
	const most = 12
	parts := make([]string, 0, most+1)
	for i, n := range names {
		if i == most {
			parts = append(parts, fmt.Sprintf("and %d more", len(names)-most))
			break
		}
		parts = append(parts, fmt.Sprintf("%.60q", n))
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}
