package trt

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Network is what the parser made of a model: of how many layers the output has which
// element type.
type Network struct {
	Inputs  []Tensor       `json:"inputs"`
	Outputs []Tensor       `json:"outputs"`
	Types   map[string]int `json:"types"`
	Layers  int            `json:"layers"`
}

// Layer is a layer of an engine, with the types of what it reads: inputs and constants.
type Layer struct {
	Name  string
	Type  string
	Reads []string
}

// EngineLog gathers what a build with kDETAILED says of its engine. The text is no
// contract: a line that is not understood is left out, and a figure whose line is missing
// stays nil.
type EngineLog struct {
	Layers          []Layer
	ActivationBytes *int64
	WeightsBytes    *int64
}

var (
	layerLine = regexp.MustCompile(`^Name: (.*?), LayerType: ([^,]*), Inputs: \[(.*)$`)
	readTypes = regexp.MustCompile(`Datatype: ([A-Za-z0-9]+)`)
	memory    = regexp.MustCompile(`Total (Activation Memory|Weights Memory): (\d+) bytes`)
)

// Add takes a message of the log, which may have several lines.
func (l *EngineLog) Add(message string) {
	for line := range strings.Lines(message) {
		l.line(strings.TrimSpace(line))
	}
}

func (l *EngineLog) line(line string) {
	if m := layerLine.FindStringSubmatch(line); m != nil {
		reads, _, _ := strings.Cut(m[3], ", Outputs: [")
		layer := Layer{Name: m[1], Type: m[2]}
		for _, t := range readTypes.FindAllStringSubmatch(reads, -1) {
			layer.Reads = append(layer.Reads, typeName(t[1]))
		}
		l.Layers = append(l.Layers, layer)
		return
	}
	if m := memory.FindStringSubmatch(line); m != nil {
		n, err := strconv.ParseInt(m[2], 10, 64)
		if err != nil {
			return
		}
		if m[1] == "Weights Memory" {
			l.WeightsBytes = &n
		} else {
			l.ActivationBytes = &n
		}
	}
}

// typeNames are the names of types as the inspector and the log have them.
var typeNames = map[string]string{
	"float": "float32", "half": "float16", "bfloat16": "bfloat16", "bf16": "bfloat16", "int8": "int8", "fp8": "float8e4m3fn",
	"int4": "int4", "int32": "int32", "int64": "int64", "bool": "bool", "uint8": "uint8", "fp4": "float4e2m1",
}

func typeName(s string) string {
	if t := typeNames[strings.ToLower(s)]; t != "" {
		return t
	}
	return strings.ToLower(s)
}

// narrowness orders the types that products are told apart by, the narrowest first.
var narrowness = []string{"int4", "float4e2m1", "float8e4m3fn", "int8", "float16", "bfloat16", "float32"}

// converting are the kinds of layers that read 8 bits to make other types of them:
// elementwise kernels, and changes of format. Products have kinds of their own.
var converting = []string{"kgen", "reformat", "dequantize", "shape_call", "noop"}

// Types counts layers by the narrowest type that they read, which is what they compute in;
// those that read none of these types are left out, and 8 bits count for products alone.
func Types(layers []Layer) map[string]int {
	out := map[string]int{}
	for _, l := range layers {
		converts := slices.Contains(converting, strings.ToLower(l.Type))
		for _, t := range narrowness {
			if converts && (t == "int8" || t == "float8e4m3fn") {
				continue
			}
			if slices.Contains(l.Reads, t) {
				out[t]++
				break
			}
		}
	}
	return out
}

// Computing keeps of counts by type those of types that products compute in.
func Computing(types map[string]int) map[string]int {
	out := map[string]int{}
	for _, t := range narrowness {
		if n := types[t]; n > 0 {
			out[t] = n
		}
	}
	return out
}

// ParseInspector reads the inspector's JSON of TensorRT 10 ("Bindings": names) and 11
// ("I/O Tensors": objects). Layers are objects where the engine was built with kDETAILED,
// else names.
func ParseInspector(b []byte) ([]Layer, error) {
	var doc struct {
		Layers []json.RawMessage `json:"Layers"`
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		return nil, fmt.Errorf("the inspector's text is no JSON: %w", err)
	}
	var out []Layer
	for _, raw := range doc.Layers {
		var name string
		if json.Unmarshal(raw, &name) == nil {
			out = append(out, Layer{Name: name})
			continue
		}
		var l struct {
			Name      string
			LayerType string
			Inputs    []inspected
			Constants []inspected
		}
		if err := json.Unmarshal(raw, &l); err != nil {
			return nil, fmt.Errorf("a layer of the inspector's text: %w", err)
		}
		layer := Layer{Name: l.Name, Type: l.LayerType}
		for _, in := range append(l.Inputs, l.Constants...) {
			if t := in.dtype(); t != "" {
				layer.Reads = append(layer.Reads, t)
			}
		}
		out = append(out, layer)
	}
	return out, nil
}

// inspected is a tensor of the inspector: its type stands alone in version 11, and in the
// words of the format in version 10 ("Row major linear FP16 format").
type inspected struct {
	Datatype string `json:"Datatype"`
	Format   string `json:"Format/Datatype"`
}

func (t inspected) dtype() string {
	if t.Datatype != "" {
		return typeName(t.Datatype)
	}
	words := strings.Fields(t.Format)
	for _, w := range [][2]string{{"FP32", "float32"}, {"FP16", "float16"}, {"BF16", "bfloat16"}, {"Int8", "int8"}, {"INT8", "int8"}, {"FP8", "float8e4m3fn"}, {"Int32", "int32"}} {
		if slices.Contains(words, w[0]) {
			return w[1]
		}
	}
	return ""
}
