// Package trt builds TensorRT engines, reads what a plan file says without the
// library, and runs engines where there is a GPU. The library is reached through
// a shim behind the build tag trt and is opened when it is needed; without the
// tag Open fails with ErrUnavailable, and everything else works.
package trt

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"optim/internal/gpu"
)

// ErrUnavailable says that TensorRT is not there: the program was built without
// it, or the library is missing or of another version.
var ErrUnavailable = errors.New("TensorRT is not available")

// ErrCanceled says that a build was stopped by its context.
var ErrCanceled = errors.New("the build was canceled")

// ErrDriver says that the plan could not be loaded because this machine has no
// usable NVIDIA driver.
var ErrDriver = errors.New("this machine has no usable NVIDIA driver")

// Flavours of the library.
const (
	Enterprise = "TensorRT"
	RTX        = "TensorRT-RTX"
)

// Info tells which library is open.
type Info struct {
	Flavour string `json:"flavour"`
	Headers string `json:"headers"` // version that the program was built for
	Library string `json:"library"` // version that was found
	Path    string `json:"path"`
}

// Severity of a line of TensorRT's log.
type Severity int

// The severities, in TensorRT's order.
const (
	InternalError Severity = iota
	Error
	Warning
	Notice
	Verbose
)

// Logger receives what a build says and how far it is. Both fields may be nil;
// they may be called from threads of the library, one at a time.
type Logger struct {
	Log      func(s Severity, message string)
	Progress func(phase string, done, total int)
}

// Lib is the open library.
type Lib interface {
	Info() Info
	// Build makes an engine of an ONNX model file. Builds of one process wait for
	// each other. A model that TensorRT refuses is a *ParseError.
	Build(ctx context.Context, model string, o *BuildOptions, log Logger) (*Plan, error)
	// Load makes an engine of a plan; it needs a GPU.
	Load(plan []byte) (Engine, error)
	Close() error
}

// Plan is a built engine before it is written. Data may lie in memory of the
// library: it is valid until Close.
type Plan struct {
	Data        []byte
	Network     Network
	TimingCache []byte // TensorRT only
	Notes       []string
	Free        func() // may be nil
}

// Close gives the memory of the plan back.
func (p *Plan) Close() {
	if p.Free != nil {
		p.Free()
	}
	p.Data, p.Free = nil, nil
}

// Tensor is an input or output of an engine.
type Tensor struct {
	Name  string  `json:"name"`
	Input bool    `json:"-"`
	DType string  `json:"dtype"`
	Shape []int64 `json:"shape"` // -1: not fixed
}

// Engine is a loaded plan.
type Engine interface {
	Tensors() []Tensor
	Profiles() int
	ProfileShape(input string, profile int) (Range, error)
	DeviceMemory() int64
	Describe() ([]byte, error) // the inspector's JSON
	NewContext() (Context, error)
	Close() error
}

// Context runs an engine.
type Context interface {
	SetProfile(i int, s gpu.Stream) error
	SetInputShape(input string, shape []int64) error
	Shape(tensor string) ([]int64, error)
	Bind(tensor string, device uintptr) error
	Ready() error // nil: every input has a shape and every tensor an address
	Enqueue(s gpu.Stream) error
	Close() error
}

// ParseError is a model that the parser refuses, with the nodes at fault.
type ParseError struct{ Nodes []NodeError }

// Hint says what can be done about a model that does not parse.
func (e *ParseError) Hint() string {
	for _, n := range e.Nodes {
		switch d := n.Description; {
		case n.Op == "DynamicQuantizeLinear" || n.Op == "MatMulInteger":
			return "dynamic INT8 is for ONNX Runtime: build from the float model, with --precision int8 --calib DATA"
		case strings.Contains(d, "must divide into whole blocks"):
			return "the blocks of its weights do not divide their rows: optim quantize --int4 --form tensorrt chooses blocks that do"
		case strings.Contains(d, "zero point"), strings.Contains(d, "has type Int32 but must have type"):
			return "TensorRT takes zero point 0 and float biases alone: optim quantize --int8 --form tensorrt, or --precision int8 --calib DATA from the float model"
		case strings.Contains(d, "Plugin not found"):
			return "TensorRT does not know this operator: give the library that has it with --plugins"
		}
	}
	return "optim build-engine --prepare-only writes the model that TensorRT was given"
}

// BuildHint says what can be done about a build that failed.
func BuildHint(err error) string {
	text := err.Error()
	switch {
	case strings.Contains(text, "workspace"):
		return "give a larger --workspace"
	case strings.Contains(text, "for Turing") || strings.Contains(text, "HW-specific datatypes"):
		return "the GPUs of --cc cannot compute this precision: name newer ones, or another --precision"
	case strings.Contains(text, "MyelinCheckException"):
		return "TensorRT-RTX cannot do this without a GPU: leave --refit out"
	}
	return "--verbose shows what the builder says"
}

// NodeError is what the parser has against one node. Index is -1 where it names
// none.
type NodeError struct {
	Index       int    `json:"node"`
	Name        string `json:"name"`
	Op          string `json:"op"`
	Description string `json:"description"`
	Code        int    `json:"code"`
}

func (e *ParseError) Error() string {
	if len(e.Nodes) == 0 {
		return "the model did not parse"
	}
	s := "the model did not parse: " + e.Nodes[0].String()
	if n := len(e.Nodes) - 1; n > 0 {
		s += fmt.Sprintf("; and %d more", n)
	}
	return s
}

// String returns "node 3 conv1 (Conv): …".
func (n NodeError) String() string {
	s := n.Description
	if n.Op != "" {
		s = "(" + n.Op + "): " + s
	}
	if n.Name != "" {
		s = n.Name + " " + s
	}
	if n.Index >= 0 {
		s = fmt.Sprintf("node %d %s", n.Index, s)
	}
	return s
}
