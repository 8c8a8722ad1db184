package trt

import (
	"fmt"
	"strconv"
	"strings"

	"optim/internal/onnx"
	"optim/internal/onnx/infer"
	"optim/internal/tensor"
)

// Input is an input of a model as profiles see it.
type Input struct {
	Name     string
	DType    tensor.DType
	HasShape bool // false: the rank is unknown
	Dims     []Axis
	// ShapeTensor says that the values of the input decide the size of others, so
	// that a profile gives them instead of dimensions.
	ShapeTensor bool
}

// Axis is one dimension: a size, or -1 with the name that the model gives it.
type Axis struct {
	Size   int64
	Symbol string
}

// Inputs lists the inputs of a model that have to be fed.
func Inputs(m *onnx.Model) []Input {
	index := onnx.NewIndex(m.Graph)
	var out []Input
	for _, v := range m.Graph.Inputs {
		if m.Graph.IsBound(v.Name) || v.Type == nil {
			continue
		}
		in := Input{Name: v.Name, DType: v.Type.DType, HasShape: v.Type.HasShape}
		for _, d := range v.Type.Dims {
			a := Axis{Size: d.Value, Symbol: d.Symbol}
			if d.Symbol != "" {
				a.Size = -1
			}
			in.Dims = append(in.Dims, a)
		}
		integer := in.DType == tensor.Int64 || in.DType == tensor.Int32
		in.ShapeTensor = integer && in.HasShape && len(in.Dims) < 2 && decidesShape(index, v.Name)
		out = append(out, in)
	}
	return out
}

// shapePlaces are the inputs of operators whose values decide a size.
var shapePlaces = map[string][]int{
	"Reshape": {1}, "Expand": {1}, "Tile": {1}, "ConstantOfShape": {0}, "Slice": {1, 2, 4}, "Pad": {1},
	"Resize": {3}, "Upsample": {1}, "Range": {0, 1, 2}, "TopK": {1}, "OneHot": {1}, "Split": {1}, "RandomNormalLike": {},
}

// carriers pass values on, or compute with them, so that what decides a size behind
// them decides it before them, too.
var carriers = map[string]bool{
	"Cast": true, "Concat": true, "Unsqueeze": true, "Squeeze": true, "Identity": true, "Gather": true,
	"Add": true, "Sub": true, "Mul": true, "Div": true, "Max": true, "Min": true, "Reshape": true, "Slice": true, "Where": true,
}

// decidesShape follows a value to the places where operators read sizes.
func decidesShape(index *onnx.Index, value string) bool {
	seen := map[string]bool{value: true}
	for queue := []string{value}; len(queue) > 0; queue = queue[1:] {
		for _, n := range index.Consumers(queue[0]) {
			if !infer.Standard(n.Domain) {
				continue
			}
			for _, i := range shapePlaces[n.OpType] {
				if n.Input(i) == queue[0] {
					return true
				}
			}
			if !carriers[n.OpType] || n.OpType == "Gather" && n.Input(0) != queue[0] {
				continue
			}
			if out := n.Output(0); out != "" && !seen[out] {
				seen[out] = true
				queue = append(queue, out)
			}
		}
	}
	return false
}

// dynamic reports whether the input needs a range.
func (in Input) dynamic() bool {
	if in.ShapeTensor || !in.HasShape {
		return true
	}
	for _, d := range in.Dims {
		if d.Size < 0 {
			return true
		}
	}
	return false
}

// valueCount is the number of values of a shape tensor; -1: not fixed.
func (in Input) valueCount() int {
	if len(in.Dims) == 0 {
		return 1
	}
	return int(in.Dims[0].Size)
}

// String returns "x float32[batch x 3 x 224 x 224]".
func (in Input) String() string {
	if !in.HasShape {
		return fmt.Sprintf("%s %s of unknown rank", in.Name, in.DType)
	}
	return fmt.Sprintf("%s %s[%s]", in.Name, in.DType, in.dims(" x ", func(a Axis) string {
		if a.Symbol == "" {
			return "?"
		}
		return a.Symbol
	}))
}

func (in Input) dims(sep string, open func(Axis) string) string {
	var out []string
	for _, d := range in.Dims {
		if d.Size >= 0 {
			out = append(out, strconv.FormatInt(d.Size, 10))
		} else {
			out = append(out, open(d))
		}
	}
	return strings.Join(out, sep)
}

// example is a shape for the input as a flag takes it; what has to be chosen is a
// capital letter.
func (in Input) example() string {
	name := in.Name
	if strings.ContainsAny(name, ":,'") {
		name = "'" + name + "'"
	}
	switch {
	case in.ShapeTensor:
		n := max(in.valueCount(), 1)
		return name + ":" + strings.TrimSuffix(strings.Repeat("Nx", n), "x")
	case !in.HasShape:
		return name + ":NxNx…"
	}
	return name + ":" + in.dims("x", func(Axis) string { return "N" })
}

func describeInputs(inputs []Input) string {
	var out []string
	for _, in := range inputs {
		out = append(out, in.String())
	}
	return strings.Join(out, ", ")
}
