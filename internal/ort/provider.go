package ort

import (
	"fmt"
	"slices"
	"strings"

	onnx "github.com/yalue/onnxruntime_go"
)

// Providers that have names of their own here; others keep the native name in
// lower case, "openvino" for OpenVINOExecutionProvider.
const (
	CPU      = "cpu"
	CUDA     = "cuda"
	TensorRT = "tensorrt"
)

const providerSuffix = "ExecutionProvider"

// shortProvider turns "CUDAExecutionProvider" into "cuda".
func shortProvider(native string) string {
	return strings.ToLower(strings.TrimSuffix(native, providerSuffix))
}

// pluggedIn are the providers that lie in libraries of their own, beside the
// main one, which lists them whether they are there or not.
var pluggedIn = []string{"cann", "cuda", "dnnl", "migraphx", "nvtensorrtrtx", "openvino", "rocm", "tensorrt", "vitisai"}

// known are the names of all providers that ONNX Runtime can be built with. Others are
// mistakes, unless the library has them.
var known = append([]string{
	"acl", "armnn", "azure", "coreml", "cpu", "dml", "js", "nnapi", "qnn", "rknpu", "vsinpu", "webgpu", "webnn", "xnnpack",
}, pluggedIn...)

// presentProviders drops from list the providers whose library is not in dir.
func presentProviders(list []string, dir string) []string {
	return slices.DeleteFunc(list, func(name string) bool {
		if !slices.Contains(pluggedIn, name) {
			return false
		}
		return regular(pluginFile(dir, name)) != nil
	})
}

// Missing is a provider that was asked for and is not used, with the reason.
type Missing struct{ Name, Why string }

// ResolveProviders reads a list as users give it: "auto" is cuda where the
// library has it, then cpu. Of several, those that the library lacks and those
// that do not work on this machine (see Usable) are left out and returned in
// missing; a provider that is named alone and missing, or that there is none of, is
// ErrProvider. The result always holds the CPU, which takes what others leave.
func (r *Runtime) ResolveProviders(list []string) (use []string, missing []Missing, err error) {
	var wanted []string
	for _, p := range list {
		if p != "auto" {
			wanted = append(wanted, p)
			continue
		}
		if slices.Contains(r.providers, CUDA) {
			wanted = append(wanted, CUDA)
		}
		wanted = append(wanted, CPU)
	}
	for _, p := range wanted {
		if slices.Contains(use, p) {
			continue
		}
		if !slices.Contains(r.providers, p) && !slices.Contains(known, p) {
			return nil, nil, r.lacks(p)
		}
		if why := r.Usable(p); why != nil {
			if len(wanted) == 1 {
				return nil, nil, why
			}
			missing = append(missing, Missing{p, why.Error()})
			continue
		}
		use = append(use, p)
	}
	if len(missing) > 0 && len(use) == 0 {
		return nil, missing, r.Usable(missing[0].Name)
	}
	if !slices.Contains(use, CPU) {
		use = append(use, CPU)
	}
	return use, missing, nil
}

// lacks is the error for a provider that the library does not have.
func (r *Runtime) lacks(name string) error {
	return fmt.Errorf("%w: %q: the library %q has only %s", ErrProvider, name, r.library, strings.Join(r.providers, ", "))
}

// appendProviders adds the providers in order. The CPU need not be added: it
// always comes last.
func (r *Runtime) appendProviders(so *onnx.SessionOptions, names []string) error {
	for i, name := range names {
		if !slices.Contains(r.providers, name) {
			return r.lacks(name)
		}
		if name == CPU {
			if i != len(names)-1 {
				return fmt.Errorf("%w: %q after %q would never get a node", ErrProvider, names[i+1], CPU)
			}
			return nil
		}
		if err := appendProvider(so, name); err != nil {
			if part := r.missingPart(name); part != "" {
				return fmt.Errorf("%w: %q: %s, which it needs, is not installed, or not in a folder that the loader searches (LD_LIBRARY_PATH)", ErrProvider, name, part)
			}
			return fmt.Errorf("%w: %q: %w", ErrProvider, name, wrapNative(err))
		}
	}
	return nil
}

func appendProvider(so *onnx.SessionOptions, name string) error {
	switch name {
	case CUDA:
		o, err := onnx.NewCUDAProviderOptions()
		if err != nil {
			return err
		}
		defer o.Destroy()
		return so.AppendExecutionProviderCUDA(o)
	case TensorRT:
		o, err := onnx.NewTensorRTProviderOptions()
		if err != nil {
			return err
		}
		defer o.Destroy()
		return so.AppendExecutionProviderTensorRT(o)
	}
	// The generic call takes the short native names, which it wants in their
	// own spelling.
	if native, ok := nativeNames[name]; ok {
		name = native
	}
	return so.AppendExecutionProvider(name, nil)
}

// nativeNames spells the providers of the generic call as it wants them.
var nativeNames = map[string]string{
	"coreml": "CoreML", "dnnl": "DNNL", "openvino": "OpenVINO", "qnn": "QNN",
	"snpe": "SNPE", "webgpu": "WebGPU", "webnn": "WEBNN", "xnnpack": "XNNPACK",
}
