package inspect

import (
	"slices"

	"optim/internal/onnx"
)

// attention is the products inside a fused attention. Projected is those with
// the packed weight of query, key and value; pairs those of queries with keys,
// and of their weights with values.
type attention struct {
	output           []int64
	presents         [][]int64 // keys and values with those of now, where a past is given
	projected, pairs uint64
	known            bool
}

// attentionCost is the cost of a fused attention. QAttention multiplies integers
// with its weight alone.
func (s *shapes) attentionCost(n *onnx.Node) (Cost, bool) {
	a := s.attention(n)
	if n.OpType == "QAttention" {
		return Cost{Float: a.pairs, Integer: a.projected}, a.known
	}
	sum, ok := Cost{Float: a.pairs}.add(Cost{Float: a.projected})
	return sum, ok && a.known
}

// attention follows a fused attention, by the operator's description in ONNX
// and in ONNX Runtime's docs/ContribOperators.md.
func (s *shapes) attention(n *onnx.Node) attention {
	switch {
	case n.OpType == "QAttention":
		return s.packedAttention(n, 8)
	case n.OpType == "MultiHeadAttention":
		return s.separateAttention(n, n.AttrInt("num_heads", 0), n.AttrInt("num_heads", 0), 6)
	case canonical(n.Domain) == "":
		return s.separateAttention(n, n.AttrInt("q_num_heads", 0), n.AttrInt("kv_num_heads", 0), 4)
	case n.Input(6) != "": // the past lies in a longer buffer
		return attention{}
	}
	return s.packedAttention(n, 4)
}

// packedAttention has an input [batch, queries, width] and one weight [width,
// query + key + value] for all three. Input number past, where it is given, is
// [2, batch, heads, keys before, head].
func (s *shapes) packedAttention(n *onnx.Node, past int) attention {
	x, w := s.dims[n.Input(0)], s.dims[n.Input(1)]
	if len(x) != 3 || len(w) != 2 || x[2] != w[0] {
		return attention{}
	}
	sizes := n.AttrInts("qkv_hidden_sizes")
	if sizes == nil {
		sizes = []int64{w[1] / 3, w[1] / 3, w[1] / 3}
	}
	if len(sizes) != 3 || sizes[0] != sizes[1] || sizes[0]+sizes[1]+sizes[2] != w[1] {
		return attention{}
	}
	keys, presents := x[1], [][]int64(nil)
	if n.Input(past) != "" {
		present := grown(s.dims[n.Input(past)], x[1])
		if len(present) != 5 {
			return attention{}
		}
		keys, presents = present[3], [][]int64{present}
	}
	a := pairs([]int64{x[0], x[1], sizes[2]}, []int64{x[0], x[1], keys}, sizes[:1], sizes[2:])
	projected, ok := product(x[0], x[1], w[0], w[1])
	a.projected, a.presents, a.known = projected, presents, a.known && ok
	return a
}

// separateAttention has query, key and value apart: [batch, rows, heads·head],
// or [batch, heads, rows, head]. Inputs past and past + 1, where they are given,
// are the keys and values before, [batch, heads, rows, head].
func (s *shapes) separateAttention(n *onnx.Node, heads, kvHeads int64, past int) attention {
	q, rank := s.heads(n.Input(0), heads)
	k, _ := s.heads(n.Input(1), kvHeads)
	v, _ := s.heads(n.Input(2), kvHeads)
	if q == nil || k == nil || v == nil || q[0] != k[0] || q[3] != k[3] || k[2] != v[2] {
		return attention{}
	}
	keys, presents := k[2], [][]int64(nil)
	if n.Input(past) != "" {
		key, value := grown(s.dims[n.Input(past)], k[2]), grown(s.dims[n.Input(past+1)], v[2])
		if len(key) != 4 || len(value) != 4 || key[2] != value[2] {
			return attention{}
		}
		keys, presents = key[2], [][]int64{key, value}
	}
	out := []int64{q[0], q[1], q[2], v[3]}
	if rank == 3 {
		width, ok := times(q[1], v[3])
		if !ok {
			return attention{}
		}
		out = []int64{q[0], q[2], width}
	}
	a := pairs(out, []int64{q[0], q[2], keys}, []int64{q[1], q[3]}, []int64{q[1], v[3]})
	a.presents = presents
	return a
}

// grown returns the dimensions of a past, [… rows, head], with more rows.
func grown(past []int64, rows int64) []int64 {
	if len(past) < 2 {
		return nil
	}
	out := slices.Clone(past)
	out[len(out)-2] += rows
	return out
}

// heads returns the dimensions of a value as [batch, heads, rows, head], and
// its rank; nil where they are not known.
func (s *shapes) heads(value string, heads int64) ([]int64, int) {
	d := s.dims[value]
	switch {
	case len(d) == 4 && (heads == 0 || d[1] == heads):
		return d, 4
	case len(d) == 3 && heads > 0 && heads <= sizeLimit && d[2]%heads == 0:
		return []int64{d[0], heads, d[1], d[2] / heads}, 3
	}
	return nil, len(d)
}

// pairs is an attention over [batch, queries, keys], with the factors of the
// width of a query and of a value in all heads together.
func pairs(output, meetings, width, depth []int64) attention {
	scores, ok1 := product(slices.Concat(meetings, width)...)
	mixed, ok2 := product(slices.Concat(meetings, depth)...)
	return attention{output: output, pairs: scores + mixed, known: ok1 && ok2 && scores+mixed >= scores}
}
