package gate

import (
	"optim/internal/onnx"
	"optim/internal/tensor"
)

// introduced says which version of ONNX Runtime first had something.
type introduced struct {
	number  int64 // of an opset or of the IR
	version string
}

// opsetSince lists when ONNX Runtime came to know opsets of the default domain.
// Up to 15 it is the table in its docs/Versioning.md, above that the ONNX
// release that each version was built with; where two versions come into
// question it is the later one.
var opsetSince = []introduced{
	{11, "1.0"}, {12, "1.3"}, {13, "1.6"}, {14, "1.8"}, {15, "1.9"}, {16, "1.11"}, {17, "1.12"}, {18, "1.14"},
	{19, "1.15"}, {20, "1.17"}, {21, "1.18"}, {22, "1.21"}, {23, "1.23"}, {24, "1.24"}, {25, "1.24"}, {26, "1.25"},
}

// irSince lists the same for versions of the file format: a runtime refuses
// files of a later one than that of the ONNX release it was built with.
var irSince = []introduced{
	{6, "1.0"}, {7, "1.6"}, {8, "1.10"}, {9, "1.15"}, {10, "1.18"}, {11, "1.23"}, {12, "1.24"}, {13, "1.24"},
}

// operatorSince lists the versions that brought operators of com.microsoft.
var operatorSince = map[string]string{
	"DynamicQuantizeMatMul": "1.3", "MatMulIntegerToFloat": "1.3", "QLinearAdd": "1.4", "QAttention": "1.4",
	"DynamicQuantizeLSTM": "1.5", "QGemm": "1.11", "MatMulNBits": "1.17", "MatMulBnb4": "1.17", "GatherBlockQuantized": "1.20",
}

// bitsSince lists the versions that brought integers of so many bits to operators
// of com.microsoft.
var bitsSince = map[string]map[int64]string{
	"MatMulNBits":          {8: "1.22", 2: "1.24"},
	"GatherBlockQuantized": {8: "1.23"},
}

// blockedSince is the version that brought blocks and types of 4 bits to
// DequantizeLinear, one after its opset.
const blockedSince = "1.19"

// needs returns the opset of the default domain and the least version of ONNX
// Runtime that runs a model; empty where it is newer than the tables.
func needs(m *onnx.Model) (opset int64, version string) {
	opset = m.Opset("")
	version = since(opsetSince, opset)
	ir := since(irSince, m.IRVersion)
	if version == "" || ir == "" {
		return opset, ""
	}
	version = later(version, ir)
	m.WalkNodes(func(n *onnx.Node) {
		if n.Is("DequantizeLinear") && n.AttrInt("block_size", 0) > 0 {
			version = later(version, blockedSince)
		}
		if n.Domain != microsoft {
			return
		}
		version = later(version, operatorSince[n.OpType])
		version = later(version, bitsSince[n.OpType][n.AttrInt("bits", 4)])
	})
	m.WalkGraphs(func(g *onnx.Graph, _ string) {
		for _, t := range g.Initializers {
			if t.DType == tensor.Int4 || t.DType == tensor.Uint4 {
				version = later(version, blockedSince)
			}
		}
	})
	return opset, version
}

// since returns the version for the first entry that is not below n.
func since(table []introduced, n int64) string {
	for _, e := range table {
		if e.number >= n {
			return e.version
		}
	}
	return ""
}

// later returns the later of two versions "1.x"; an empty one is the earliest.
func later(a, b string) string {
	if len(b) > len(a) || len(b) == len(a) && b > a {
		return b
	}
	return a
}
