package trt

import (
	"fmt"
	"slices"
	"strings"
)

// Range is what sizes an input may have in one profile: dimensions, or the values
// of a shape tensor. The engine is fastest at Opt.
type Range struct {
	Min    []int64 `json:"min"`
	Opt    []int64 `json:"opt"`
	Max    []int64 `json:"max"`
	Values bool    `json:"values,omitempty"`
}

// Profile holds the ranges of the inputs that are not of fixed size, by name.
type Profile map[string]Range

// Ranges are the flags that profiles are made of. Each list holds one text for each
// profile, as ParseShapes reads it.
type Ranges struct {
	Min, Opt, Max []string

	// MaxBatch and MaxSeq are the largest sizes of axes named batch or sequence of
	// inputs that no list names.
	MaxBatch, MaxSeq int64
}

// Profiles makes the profiles of a model and checks them against its inputs; notes
// say which sizes were chosen by the names of axes. A model of fixed sizes has none.
func Profiles(inputs []Input, r Ranges) (profiles []Profile, notes []string, err error) {
	given, err := r.parse()
	if err != nil {
		return nil, nil, err
	}
	dynamic := slices.ContainsFunc(inputs, func(in Input) bool { return in.dynamic() })
	if len(given) == 0 && dynamic {
		given = []triple{{}}
	}
	for i, t := range given {
		if err := t.known(inputs); err != nil {
			return nil, nil, err
		}
		p, named := Profile{}, t.symbols(inputs)
		for _, in := range inputs {
			g, said, err := t.rangeOf(in, r, named)
			if err != nil {
				return nil, nil, fmt.Errorf("profile %d: %w", i, err)
			}
			if g != nil {
				p[in.Name] = *g
			}
			if said != "" && !slices.Contains(notes, said) {
				notes = append(notes, said)
			}
		}
		profiles = append(profiles, p)
	}
	return profiles, notes, missing(inputs, profiles)
}

// triple is what the three lists say about one profile.
type triple struct{ min, opt, max []Shape }

// lists names the flags in the order of Range.
var lists = [3]string{"--min-shapes", "--opt-shapes", "--max-shapes"}

func (t triple) list(k int) []Shape { return [3][]Shape{t.min, t.opt, t.max}[k] }

// parse reads the lists. One that is not there at all is filled in by the others.
func (r Ranges) parse() ([]triple, error) {
	texts := [3][]string{r.Min, r.Opt, r.Max}
	n := max(len(r.Min), len(r.Opt), len(r.Max))
	out := make([]triple, n)
	for k, list := range texts {
		if len(list) != 0 && len(list) != n {
			return nil, &FlagError{fmt.Sprintf("%s is given %d times, and another list of shapes %d times", lists[k], len(list), n),
				"each profile takes one --min-shapes, --opt-shapes and --max-shapes"}
		}
		for i, text := range list {
			shapes, err := ParseShapes(text)
			if err != nil {
				return nil, &FlagError{fmt.Sprintf("%s: %v", lists[k], err), ""}
			}
			*[3]*[]Shape{&out[i].min, &out[i].opt, &out[i].max}[k] = shapes
		}
	}
	return out, nil
}

// known refuses names that are no inputs: the library would accept them in silence.
func (t triple) known(inputs []Input) error {
	for k, flag := range lists {
		for _, s := range t.list(k) {
			if !slices.ContainsFunc(inputs, func(in Input) bool { return s.matches(in.Name) }) {
				return &FlagError{fmt.Sprintf("%s names %q, which is no input of the model", flag, s.Name), "inputs: " + describeInputs(inputs)}
			}
		}
	}
	return nil
}

// find returns what a list says about an input; nil: nothing.
func find(list []Shape, input string) []int64 {
	for _, s := range list {
		if s.matches(input) {
			return s.Dims
		}
	}
	return nil
}

// rangeOf is the range of one input: given, or made of the names of its axes; nil for
// an input of fixed size that is not named.
func (t triple) rangeOf(in Input, r Ranges, named map[string][3]int64) (*Range, string, error) {
	if g, ok := t.given(in); ok {
		return &g, "", in.check(g)
	}
	if in.ShapeTensor || !in.dynamic() {
		return nil, "", nil
	}
	made, said := r.byName(in, named)
	return made, said, nil
}

// given is what the lists say of an input, each filled in by the others; ok is false where
// none names it.
func (t triple) given(in Input) (g Range, ok bool) {
	least, best, most := find(t.min, in.Name), find(t.opt, in.Name), find(t.max, in.Name)
	if least == nil && best == nil && most == nil {
		return Range{}, false
	}
	first := func(lists ...[]int64) []int64 {
		i := slices.IndexFunc(lists, func(l []int64) bool { return l != nil })
		return lists[i]
	}
	return Range{Min: first(least, best, most), Opt: first(best, most, least), Max: first(most, best, least), Values: in.ShapeTensor}, true
}

// symbols are the sizes of named axes that the lists give: other inputs have the same.
func (t triple) symbols(inputs []Input) map[string][3]int64 {
	out := map[string][3]int64{}
	for _, in := range inputs {
		g, ok := t.given(in)
		if !ok || in.ShapeTensor || in.check(g) != nil {
			continue
		}
		for i, d := range in.Dims {
			if d.Size < 0 && d.Symbol != "" {
				out[d.Symbol] = [3]int64{g.Min[i], g.Opt[i], g.Max[i]}
			}
		}
	}
	return out
}

// byName chooses the range of an input by the names of its axes: those that other inputs
// were given, else by what they say; nil where one has none that says what it is, or the
// rank is unknown.
func (r Ranges) byName(in Input, named map[string][3]int64) (*Range, string) {
	if !in.HasShape {
		return nil, ""
	}
	g := &Range{}
	var said []string
	for i, d := range in.Dims {
		low, opt, high := d.Size, d.Size, d.Size
		if sizes, ok := named[d.Symbol]; ok && d.Size < 0 {
			low, opt, high = sizes[0], sizes[1], sizes[2]
		} else if d.Size < 0 {
			switch axisKind(i, d.Symbol) {
			case batchAxis:
				high = r.MaxBatch
			case sequenceAxis:
				high = r.MaxSeq
			default:
				return nil, ""
			}
			low, opt = 1, (high+1)/2
			said = append(said, fmt.Sprintf("%s 1 to %d", d.Symbol, high))
		}
		g.Min, g.Opt, g.Max = append(g.Min, low), append(g.Opt, opt), append(g.Max, high)
	}
	if len(said) == 0 {
		return g, ""
	}
	slices.Sort(said)
	return g, fmt.Sprintf("sizes chosen by the names of axes: %s (--max-batch, --max-seq)", strings.Join(slices.Compact(said), ", "))
}

type kindOfAxis int

const (
	otherAxis kindOfAxis = iota
	batchAxis
	sequenceAxis
)

// axisKind tells batch and sequence axes by the names that exporters give them. A
// cache of the past, and sums of lengths, are neither.
func axisKind(i int, symbol string) kindOfAxis {
	s := strings.ToLower(symbol)
	switch {
	case strings.ContainsAny(s, "+*/ ") || strings.Contains(s, "past") || strings.Contains(s, "total"):
		return otherAxis
	case strings.Contains(s, "batch") || i == 0 && slices.Contains([]string{"n", "b", "bs"}, s):
		return batchAxis
	case strings.Contains(s, "seq"):
		return sequenceAxis
	}
	return otherAxis
}

// check refuses a range that does not fit the input, with what the library would
// say later and less clearly.
func (in Input) check(g Range) error {
	want := len(in.Dims)
	if g.Values {
		want = in.valueCount()
	}
	for k, dims := range [3][]int64{g.Min, g.Opt, g.Max} {
		if (in.HasShape || g.Values) && want >= 0 && len(dims) != want {
			what := "dimensions"
			if g.Values {
				what = "values (it is a shape tensor)"
			}
			return &FlagError{fmt.Sprintf("%s: input %q has %d %s, not %d", lists[k], in.Name, want, what, len(dims)), "the input is " + in.String()}
		}
		if len(dims) != len(g.Min) {
			return &FlagError{fmt.Sprintf("input %q: %s has %d dimensions, %s %d", in.Name, lists[k], len(dims), lists[0], len(g.Min)), ""}
		}
	}
	for i := range g.Min {
		low, opt, high := g.Min[i], g.Opt[i], g.Max[i]
		fixed := !g.Values && in.HasShape && in.Dims[i].Size >= 0
		switch {
		case fixed && (low != in.Dims[i].Size || opt != low || high != low):
			return &FlagError{fmt.Sprintf("input %q: axis %d of the model is %d, and the profile has %d, %d, %d", in.Name, i, in.Dims[i].Size, low, opt, high), "fixed axes keep their size"}
		case !g.Values && low < 1:
			return &FlagError{fmt.Sprintf("input %q: axis %d: sizes begin at 1, not %d", in.Name, i, low), ""}
		case low > opt || opt > high:
			return &FlagError{fmt.Sprintf("input %q: axis %d: min %d, opt %d, max %d are not in order", in.Name, i, low, opt, high), ""}
		}
	}
	return nil
}

// missing names the inputs that still lack a range, and the flags to give.
func missing(inputs []Input, profiles []Profile) error {
	for i, p := range profiles {
		var names, flags []string
		for _, in := range inputs {
			if _, ok := p[in.Name]; ok || !in.dynamic() {
				continue
			}
			names = append(names, in.String())
			flags = append(flags, in.example())
		}
		if len(names) > 0 {
			return &FlagError{fmt.Sprintf("profile %d has no sizes for %s", i, strings.Join(names, ", ")),
				fmt.Sprintf("give --min-shapes, --opt-shapes and --max-shapes, as --max-shapes %s", strings.Join(flags, ","))}
		}
	}
	return nil
}
