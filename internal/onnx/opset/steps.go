package opset

import (
	"errors"

	"optim/internal/onnx"
)

// unchanged is the note of a node that is right as it is.
const unchanged = "-"

// step raises a node by one version. apply returns a note of its own where
// that of the table does not fit, unchanged among them.
type step struct {
	note  string
	apply func(b *body, n *onnx.Node) (note string, err error)
}

// steps holds, by the version that is raised to and by operator, what changed.
// An operator that is not listed only gained types, or an attribute or an
// optional input whose default keeps the old meaning.
var steps = map[int64]map[string]step{
	9: {
		"BatchNormalization": {"attribute spatial removed", batchNorm9},
		"Upsample":           {"scales become an input", upsample9},
		"Scan":               refuse("its batch axis and sequence lengths went away"),
	},
	10: {
		"Slice":    {"starts, ends and axes become inputs", slice10},
		"TopK":     {"k becomes an input", topK10},
		"Dropout":  {"mask output removed", dropMask},
		"Upsample": {"becomes Resize", rename("Resize")},
		// Experimental operators, which version 10 of the set left out.
		"ATen":               refuse("the operator was removed"),
		"Affine":             refuse("the operator was removed"),
		"ConstantFill":       refuse("the operator was removed"),
		"Crop":               refuse("the operator was removed"),
		"DynamicSlice":       refuse("the operator was removed"),
		"GRUUnit":            refuse("the operator was removed"),
		"GivenTensorFill":    refuse("the operator was removed"),
		"ImageScaler":        refuse("the operator was removed"),
		"ParametricSoftplus": refuse("the operator was removed"),
		"Scale":              refuse("the operator was removed"),
		"ScaledTanh":         refuse("the operator was removed"),
	},
	11: {
		"Clip":    {"min and max become inputs", clip11},
		"Pad":     {"pads and value become inputs", pad11},
		"Resize":  {"asymmetric coordinates made explicit", resize11},
		"Scatter": {"becomes ScatterElements", rename("ScatterElements")},
	},
	12: {
		"Dropout": {"ratio becomes an input", dropout12},
	},
	13: {
		"Softmax":    {"last axis made explicit", softmax13},
		"LogSoftmax": {"last axis made explicit", softmax13},
		"Hardmax":    {"last axis made explicit", softmax13},
		"Squeeze":    {"axes become an input", listToInput("axes", 1)},
		"Unsqueeze":  {"axes become an input", listToInput("axes", 1)},
		"ReduceSum":  {"axes become an input", listToInput("axes", 1)},
		"Split":      {"split becomes an input", listToInput("split", 1)},
		"Resize":     {"empty inputs left out", resize13},
	},
	14: {
		"BatchNormalization": {"training outputs removed", batchNorm14},
	},
	16: {
		"RoiAlign": {"output_half_pixel made explicit", roiAlign16},
	},
	18: {
		"ReduceL1":        {"axes become an input", listToInput("axes", 1)},
		"ReduceL2":        {"axes become an input", listToInput("axes", 1)},
		"ReduceLogSum":    {"axes become an input", listToInput("axes", 1)},
		"ReduceLogSumExp": {"axes become an input", listToInput("axes", 1)},
		"ReduceMax":       {"axes become an input", listToInput("axes", 1)},
		"ReduceMean":      {"axes become an input", listToInput("axes", 1)},
		"ReduceMin":       {"axes become an input", listToInput("axes", 1)},
		"ReduceProd":      {"axes become an input", listToInput("axes", 1)},
		"ReduceSumSquare": {"axes become an input", listToInput("axes", 1)},
		"Split":           {"num_outputs made explicit", split18},
	},
	20: {
		"GridSample": {"modes renamed", gridSample20},
		"DFT":        {"axis becomes an input", dft20},
	},
	21: {
		"GroupNormalization": {"scale and bias for every channel", groupNorm21},
	},
}

// refuse is the step of an operator that has no later form.
func refuse(why string) step {
	return step{apply: func(*body, *onnx.Node) (string, error) { return "", errors.New(why) }}
}

// rename is the step of an operator that only got another name.
func rename(op string) func(*body, *onnx.Node) (string, error) {
	return func(_ *body, n *onnx.Node) (string, error) {
		n.OpType = op
		return "", nil
	}
}

// listToInput makes an attribute of integers input number i. An attribute that
// is absent, or empty, leaves the input out.
func listToInput(attr string, i int) func(*body, *onnx.Node) (string, error) {
	return func(b *body, n *onnx.Node) (string, error) {
		list := n.AttrInts(attr)
		n.RemoveAttr(attr)
		if len(list) == 0 {
			return unchanged, nil
		}
		setInput(n, i, b.ints(attr, list))
		return "", nil
	}
}

// setInput sets input i; inputs before it that are missing are left out.
func setInput(n *onnx.Node, i int, v string) {
	for len(n.Inputs) <= i {
		n.Inputs = append(n.Inputs, "")
	}
	n.Inputs[i] = v
}

// hasInput reports whether input i is given.
func hasInput(n *onnx.Node, i int) bool { return i < len(n.Inputs) && n.Inputs[i] != "" }
