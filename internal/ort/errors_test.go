package ort

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

// cleanCases are messages that ONNX Runtime 1.30 gave, and some edges.
var cleanCases = []struct{ raw, want string }{
	{"Error creating C session from file: Load model from /a/bad.onnx failed:Protobuf parsing failed.",
		"protobuf parsing failed"},
	{"Error creating C session from file: Load model from /a/x.onnx failed:Load model /a/x.onnx failed. File doesn't exist",
		"file doesn't exist"},
	{"Error creating C session: Invalid model. Node input 'z' is not a graph input, initializer, or output of a previous node.",
		"invalid model. Node input 'z' is not a graph input, initializer, or output of a previous node"},
	{`External data path validation failed for initializer: w. Error: tensorprotoutils.cc:461 ValidateExternalDataPathFromDir External data path does not exist: "/a/nofile"`,
		`external data path validation failed for initializer: w. Error: External data path does not exist: "/a/nofile"`},
	{"Non-zero status code returned while running Add node. Name:'nn' Status Message: /onnxruntime_src/onnxruntime/core/providers/cpu/math/element_wise_ops.h:563 void onnxruntime::BroadcastIterator::Init(ptrdiff_t, ptrdiff_t) axis == 1 || axis == largest was false. Attempting to broadcast an axis by a dimension other than 1. 2 by 3\n",
		`node "nn" (Add): attempting to broadcast an axis by a dimension other than 1. 2 by 3`},
	{"Non-zero status code returned while running Reshape node. Name:'' Status Message: /onnxruntime_src/onnxruntime/core/providers/cpu/tensor/reshape_helper.h:91 onnxruntime::ReshapeHelper::ReshapeHelper(const onnxruntime::TensorShape&, onnxruntime::TensorShapeVector&, bool) input_shape_size == requested_shape_size was false. The input tensor cannot be reshaped to the requested shape. Input shape:{2}, requested shape:{7,7}",
		`node "" (Reshape): the input tensor cannot be reshaped to the requested shape. Input shape:{2}, requested shape:{7,7}`},
	{"Non-zero status code returned while running Gelu node. Name:'Gelu' Status Message: /onnxruntime_src/onnxruntime/core/framework/op_kernel.cc:83 virtual OrtValue* onnxruntime::OpKernelContext::OutputMLValue(int, const onnxruntime::TensorShape&) [ONNXRuntimeError] : 2 : INVALID_ARGUMENT : The output OrtValue has shape {3,4}.",
		`node "Gelu" (Gelu): the output OrtValue has shape {3,4}`},
	{"CUDA failure 100: no CUDA-capable device is detected ; GPU=-1 ; hostname=vm ; file=/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_execution_provider.cc ; line=352 ; expr=cudaSetDevice(info_.device_id); ",
		"CUDA failure 100: no CUDA-capable device is detected"},
	{"ONNX model is broken.", "ONNX model is broken"},
	{"  \n ", "onnx runtime gave no reason"},
	{"a.cc:1", "onnx runtime gave no reason"},
}

func TestClean(t *testing.T) {
	for _, c := range cleanCases {
		if got := clean(c.raw); got != c.want {
			t.Errorf("%q\n got %q\nwant %q", c.raw, got, c.want)
		}
	}
}

func FuzzClean(f *testing.F) {
	for _, c := range cleanCases {
		f.Add(c.raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got := clean(raw)
		if got == "" || !utf8.ValidString(got) || strings.ContainsAny(got, "\n\r\t") {
			t.Errorf("%q gives %q", raw, got)
		}
	})
}

func TestAPIVersion(t *testing.T) {
	for v, want := range map[string]int{"1.30.0": 30, "1.24.1-dev+x": 24, "1.7": 7} {
		if got, err := apiVersion(v); err != nil || got != want {
			t.Errorf("%s: %d, %v", v, got, err)
		}
	}
	for _, v := range []string{"", "1", "2.0.0", "1.x.0", "one"} {
		if got, err := apiVersion(v); err == nil {
			t.Errorf("%q: %d", v, got)
		}
	}
}

func TestSentinels(t *testing.T) {
	if err := wrapNative(nil); err != nil {
		t.Error(err)
	}
	if err := wrapNative(errors.New("Boom.")); err == nil || err.Error() != "boom" {
		t.Errorf("%v", err)
	}
}
