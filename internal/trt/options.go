package trt

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Precision is what an engine is to compute in. It changes the model: the builder
// itself is never asked for a precision, for it builds strongly typed.
type Precision string

// The precisions. Best is INT8 where the model has it or data is given, and FP16
// for the rest.
const (
	FP32 Precision = "fp32"
	FP16 Precision = "fp16"
	BF16 Precision = "bf16"
	INT8 Precision = "int8"
	FP8  Precision = "fp8"
	Best Precision = "best"
)

// Precisions lists the precisions in the order of the help.
var Precisions = []Precision{FP16, FP32, BF16, INT8, FP8, Best}

// HWCompats lists the levels of hardware compatibility.
var HWCompats = []string{"none", "ampere+", "same-cc"}

// DefaultWorkspace is the limit of scratch memory. A library without a GPU would
// take 64 GiB.
const DefaultWorkspace = 1 << 30

// DefaultOptLevel leaves the level to TensorRT.
const DefaultOptLevel = -1

// BuildOptions say how an engine is built.
type BuildOptions struct {
	Workspace    int64 // bytes; 0: TensorRT's own limit
	OptLevel     int   // 0 to 5; DefaultOptLevel: TensorRT's default
	Capabilities []int // compute capabilities to build for, 89 for 8.9; TensorRT-RTX only
	HWCompat     string
	Profiles     []Profile
	Plugins      []string // libraries
	TimingCache  []byte   // TensorRT only; nil: start with an empty one
	Device       int      // for the caller, who makes it the current one; -1: whatever is

	NoTF32, VersionCompatible, Refit, Detailed bool
}

// FlagError is a flag that cannot be used, and what to do instead.
type FlagError struct{ Message, Hint string }

func (e *FlagError) Error() string { return e.Message }

// Check refuses what a flavour of TensorRT does not have. timingCache says that a
// file for it was named.
func (o *BuildOptions) Check(flavour string, timingCache bool) error {
	if o.OptLevel < DefaultOptLevel || o.OptLevel > 5 {
		return &FlagError{fmt.Sprintf("--opt-level must be from 0 to 5, not %d", o.OptLevel), ""}
	}
	compat := o.HWCompat != "" && o.HWCompat != "none"
	if flavour != RTX {
		if len(o.Capabilities) > 0 {
			return &FlagError{"--cc is not offered by TensorRT: it builds for the GPU at hand", "leave --cc out, or use --hw-compat ampere+ for a range of GPUs"}
		}
		return nil
	}
	switch {
	case timingCache:
		return &FlagError{"--timing-cache is not offered by TensorRT-RTX: it times nothing while it builds", "leave --timing-cache out; TensorRT-RTX has a cache at run time instead"}
	case o.VersionCompatible:
		return &FlagError{"--version-compatible is not offered by TensorRT-RTX: it has no lean runtime", "build again for another version, or use TensorRT"}
	case compat:
		return &FlagError{"--hw-compat is not offered by TensorRT-RTX", "name the GPUs with --cc, as --cc 8.6,8.9"}
	}
	return nil
}

// capabilities are the GPUs that TensorRT-RTX builds for.
var capabilities = []int{75, 80, 86, 89, 120, 121}

// ParseCapabilities reads a list such as "8.9,12.0".
func ParseCapabilities(list []string) ([]int, error) {
	var out []int
	for _, s := range list {
		major, minor, ok := strings.Cut(strings.TrimSpace(s), ".")
		a, errA := strconv.ParseUint(major, 10, 8)
		b, errB := strconv.ParseUint(minor, 10, 8)
		cc := int(a)*10 + int(b)
		if !ok || errA != nil || errB != nil || b > 9 || !slices.Contains(capabilities, cc) {
			return nil, fmt.Errorf("--cc %q is no compute capability that TensorRT-RTX builds for (valid: %s)", s, capabilityList())
		}
		if slices.Contains(out, cc) {
			return nil, fmt.Errorf("--cc names %s twice", FormatCapability(cc))
		}
		out = append(out, cc)
	}
	return out, nil
}

// FormatCapability writes 89 as "8.9".
func FormatCapability(cc int) string { return fmt.Sprintf("%d.%d", cc/10, cc%10) }

func capabilityList() string {
	var all []string
	for _, c := range capabilities {
		all = append(all, FormatCapability(c))
	}
	return strings.Join(all, ", ")
}

// Shape is the size of one input. For a shape tensor these are its values.
type Shape struct {
	Name string // may hold one '*' that stands for any letters
	Dims []int64
}

// maxDims is what a tensor of TensorRT has at most.
const maxDims = 8

// ParseShapes reads a list of shapes as trtexec takes it: "x:1x3x224x224,ids:1x128".
// A name with a colon, comma or quote in it is put into single quotes; "scalar" is
// the shape of a number.
func ParseShapes(text string) ([]Shape, error) {
	var out []Shape
	seen := map[string]bool{}
	for rest := text; ; {
		var s Shape
		var err error
		var more bool
		if s, rest, more, err = nextShape(rest); err != nil {
			return nil, fmt.Errorf("%w: shapes are given as NAME:1x3x224x224,NAME:1x128, not %q", err, text)
		}
		if seen[s.Name] {
			return nil, fmt.Errorf("input %q is given twice in %q", s.Name, text)
		}
		seen[s.Name] = true
		out = append(out, s)
		if !more {
			return out, nil
		}
	}
}

// nextShape takes one shape off the front of a list; more says that a comma
// followed.
func nextShape(text string) (s Shape, rest string, more bool, err error) {
	var dims string
	if quoted, ok := strings.CutPrefix(text, "'"); ok {
		name, after, closed := strings.Cut(quoted, "'")
		if !closed || !strings.HasPrefix(after, ":") {
			return s, "", false, fmt.Errorf("a quoted name is not closed, or no colon follows")
		}
		s.Name = name
		dims, rest, more = strings.Cut(after[1:], ",")
	} else {
		var one string
		one, rest, more = strings.Cut(text, ",")
		colon := strings.LastIndexByte(one, ':')
		if colon < 0 {
			return s, "", false, fmt.Errorf("there is no colon behind the name %q", one)
		}
		s.Name, dims = one[:colon], one[colon+1:]
	}
	if s.Name == "" || strings.Count(s.Name, "*") > 1 || strings.Contains(s.Name, "'") {
		return s, "", false, fmt.Errorf("%q is no name of an input", s.Name)
	}
	s.Dims, err = parseDims(dims)
	return s, rest, more, err
}

func parseDims(text string) ([]int64, error) {
	if text == "scalar" {
		return []int64{}, nil
	}
	var out []int64
	for _, d := range strings.Split(text, "x") {
		n, err := strconv.ParseInt(d, 10, 64)
		if err != nil || n < math.MinInt32 || n > math.MaxInt32 {
			return nil, fmt.Errorf("%q is no size", d)
		}
		out = append(out, n)
	}
	if len(out) > maxDims {
		return nil, fmt.Errorf("%d dimensions are more than the %d that TensorRT has", len(out), maxDims)
	}
	return out, nil
}

// matches reports whether the shape is meant for an input of that name.
func (s Shape) matches(input string) bool {
	before, after, wild := strings.Cut(s.Name, "*")
	if !wild {
		return s.Name == input
	}
	return len(input) >= len(before)+len(after) && strings.HasPrefix(input, before) && strings.HasSuffix(input, after)
}

// FormatDims writes dimensions as ParseShapes reads them.
func FormatDims(dims []int64) string {
	if len(dims) == 0 {
		return "scalar"
	}
	var out []string
	for _, d := range dims {
		out = append(out, strconv.FormatInt(d, 10))
	}
	return strings.Join(out, "x")
}
