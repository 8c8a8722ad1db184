package inspect

import (
	"strings"

	"optim/internal/onnx"
)

// Tables returns the rows of the embedding table that input ids index, and of
// the table of positions; 0: there is none that can be told. An id at or above
// the first, a text longer than the second, would make the model fail.
func Tables(m *onnx.Model) (vocab, positions int64) {
	idx := onnx.NewIndex(m.Graph)
	width := int64(0)
	type table struct{ rows, width int64 }
	var others []table
	for _, n := range m.Graph.Nodes {
		if n.OpType != "Gather" && n.OpType != "GatherBlockQuantized" || len(n.Inputs) < 2 {
			continue
		}
		rows, columns, ok := tableShape(idx, n.Inputs[0])
		if axis, _ := axisOf(n.AttrInt("axis", 0), 2); !ok || axis != 0 {
			continue
		}
		switch from := sourceInput(idx, n.Inputs[1]); {
		case strings.Contains(from, "type") || strings.Contains(from, "segment"):
		case strings.Contains(from, "position"):
			positions = rows
		case from != "" && rows > vocab:
			vocab, width = rows, columns
		case from == "":
			others = append(others, table{rows, columns})
		}
	}
	// The model makes the positions itself: a table as wide as the embedding,
	// with more rows than the types of segments that a model may count out.
	for _, t := range others {
		if positions == 0 && vocab > 0 && t.width == width && t.rows > 2 {
			positions = t.rows
		}
	}
	return vocab, positions
}

// tableShape returns the size of the constant matrix behind v; a table that is
// stored quantized is followed through its DequantizeLinear.
func tableShape(idx *onnx.Index, v string) (rows, columns int64, ok bool) {
	if p := idx.Producer(v); p != nil && p.OpType == "DequantizeLinear" {
		v = p.Input(0)
	}
	t := idx.Initializer(v)
	if t == nil || len(t.Shape) != 2 {
		return 0, 0, false
	}
	return t.Shape[0], t.Shape[1], true
}

// sourceInput returns the graph input that v is made from by nodes that only
// change its type or shape, or the empty string.
func sourceInput(idx *onnx.Index, v string) string {
	for range maxRank {
		if idx.IsInput(v) {
			return v
		}
		p := idx.Producer(v)
		if p == nil || !p.Is("Cast", "Reshape", "Identity", "Unsqueeze", "Squeeze", "Flatten") {
			return ""
		}
		v = p.Input(0)
	}
	return ""
}
