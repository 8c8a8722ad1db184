package decode

import (
	"errors"
	"fmt"
	"slices"

	"optim/internal/dataset"
	"optim/internal/inspect"
	"optim/internal/onnx"
	"optim/internal/ort"
	"optim/internal/tensor"
)

// model is what has to be known of a causal language model to decode with it.
type model struct {
	session *ort.Session
	inputs  []ort.Info
	roles   dataset.Roles
	logits  ort.Info
	caches  []cache
	vocab   int64 // rows of the embedding table; 0: unknown
	limit   int   // ids that the model takes; 0: nothing tells
	limitBy string
	// What a run of the model showed.
	width int64 // logits of a position
	last  bool  // there are logits of the last position only
}

// describe finds the meaning of inputs and outputs, or says why the model cannot
// decode.
func describe(s *ort.Session, g *onnx.Model) (*model, error) {
	info := dataset.ModelInfo{Path: g.Path, Inputs: s.Inputs(), Outputs: s.Outputs()}
	m := &model{session: s, inputs: info.Inputs, roles: info.Roles()}
	var rows int64
	m.vocab, rows = inspect.Tables(g)
	name := info.Logits(m.vocab)
	if name == "" { // the head may have more rows than the table, for speed
		name = info.Logits(0)
	}
	if name == "" {
		return nil, errors.New("no causal language model: it has no ids [batch, sequence] that lead to logits [batch, sequence, vocabulary]")
	}
	m.logits = info.Outputs[slices.IndexFunc(info.Outputs, func(o ort.Info) bool { return o.Name == name })]
	ids := info.Inputs[slices.IndexFunc(info.Inputs, func(in ort.Info) bool { return in.Name == m.roles.IDs })]
	switch {
	case ids.Dims[1] >= 0:
		return nil, fmt.Errorf("input %q is %s: decoding needs an open sequence dimension", ids.Name, ids)
	case ids.Dims[0] > 1:
		return nil, fmt.Errorf("input %q is %s: decoding needs a batch of 1", ids.Name, ids)
	}
	m.limit, m.limitBy = dataset.ContextLimit(info, dataset.Options{PositionRows: rows})
	var err error
	m.caches, err = findCaches(info.Inputs, info.Outputs, name)
	return m, err
}

// memory holds the inputs of all runs: each run reads a part.
type memory struct {
	ids, mask, positions tensor.Tensor // [n]
}

// memory returns memory for so many ids.
func (m *model) memory(n int) (memory, error) {
	ones, ascending := make([]int64, n), make([]int64, n)
	for i := range n {
		ones[i], ascending[i] = 1, int64(i)
	}
	var mem memory
	for _, part := range []struct {
		name string
		v    []int64
		dst  *tensor.Tensor
	}{
		{m.roles.IDs, make([]int64, n), &mem.ids}, {m.roles.Mask, ones, &mem.mask},
		{m.roles.Positions, ascending, &mem.positions}, {cachePosition, ascending, &mem.positions},
	} {
		i := slices.IndexFunc(m.inputs, func(in ort.Info) bool { return in.Name == part.name })
		if i < 0 {
			continue
		}
		t, err := tensor.Convert(tensor.Of(tensor.Int64, tensor.Shape{int64(n)}, part.v), m.inputs[i].DType)
		if err != nil {
			return memory{}, fmt.Errorf("input %q: %w", part.name, err)
		}
		*part.dst = t
	}
	return mem, nil
}

// Inputs beyond the usual roles, by the names that exporters give them.
const (
	cachePosition = "cache_position"   // positions [sequence]
	cacheBranch   = "use_cache_branch" // bool: the past counts
)

// feed returns the inputs of a run on the ids from lo to hi-1, with a cache of
// those before, which the caller adds.
func (m *model) feed(mem memory, lo, hi int) (map[string]tensor.Tensor, error) {
	in := map[string]tensor.Tensor{}
	for _, info := range m.inputs {
		switch {
		case info.Name == m.roles.IDs:
			in[info.Name] = part(mem.ids, lo, hi, 2)
		case info.Name == m.roles.Mask:
			in[info.Name] = part(mem.mask, 0, hi, 2)
		case info.Name == m.roles.Positions:
			in[info.Name] = part(mem.positions, lo, hi, 2)
		case info.Name == cachePosition && len(info.Dims) == 1:
			in[info.Name] = part(mem.positions, lo, hi, 1)
		case info.Name == cacheBranch && info.DType == tensor.Bool:
			flag := tensor.Tensor{DType: tensor.Bool, Shape: tensor.Shape{1}, Data: []byte{0}}
			if lo > 0 {
				flag.Data[0] = 1
			}
			in[info.Name] = flag
		case dataset.IsPast(info):
		default:
			return nil, fmt.Errorf("input %q (%s): decoding does not know what to give", info.Name, info)
		}
	}
	return in, nil
}

// part returns the elements lo to hi-1 of a row, as a tensor of one or two
// dimensions that shares its memory.
func part(t tensor.Tensor, lo, hi, rank int) tensor.Tensor {
	size := t.DType.Bits() / 8
	shape := tensor.Shape{1, int64(hi - lo)}
	return tensor.Tensor{DType: t.DType, Shape: shape[2-rank:], Data: t.Data[lo*size : hi*size]}
}
