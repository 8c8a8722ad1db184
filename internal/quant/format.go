package quant

import (
	"fmt"
	"slices"
	"strings"
)

// Format is how numbers are stored in the result.
type Format string

// The formats. INT4, NF4 and FP4 are for weights alone; FP16 and BF16 for the
// whole graph.
const (
	Int8 Format = "int8"
	Int4 Format = "int4"
	NF4  Format = "nf4"
	FP4  Format = "fp4"
	FP16 Format = "fp16"
	BF16 Format = "bf16"
)

// Formats lists the formats in the order of the help.
var Formats = []Format{Int8, Int4, NF4, FP4, FP16, BF16}

// Method names how the stored values are come by.
type Method string

// The methods. Auto is the best that the given data allows, see Resolve.
const (
	Auto       Method = "auto"
	Dynamic    Method = "dynamic"
	Static     Method = "static"
	WeightOnly Method = "weight-only"
	RTN        Method = "rtn"
	HQQ        Method = "hqq"
	GPTQ       Method = "gptq"
	AWQ        Method = "awq"
	QAT        Method = "qat"
	AutoRound  Method = "autoround"
	Convert    Method = "convert"
)

// method is a line of the table of methods.
type method struct {
	name       Method
	formats    []Format
	calibrated bool // needs what a run over data shows
	trained    bool // weights and ranges are learned first
	rules      map[string]rule
	noKernel   map[string]string
}

// methods is the table of methods. Where a format has several, the first is
// what Auto means without data.
var methods = []method{
	{name: Dynamic, formats: []Format{Int8}, rules: dynamicRules, noKernel: noDynamicKernel},
	{name: Static, formats: []Format{Int8}, calibrated: true},
	{name: WeightOnly, formats: []Format{Int8}, rules: blockRules, noKernel: noBlockKernel},
	{name: HQQ, formats: []Format{Int4}, rules: int4Rules, noKernel: noBlockKernel},
	{name: RTN, formats: []Format{Int4}, rules: int4Rules, noKernel: noBlockKernel},
	{name: GPTQ, formats: []Format{Int4}, calibrated: true, rules: int4Rules, noKernel: noBlockKernel},
	{name: AWQ, formats: []Format{Int4}, calibrated: true, rules: int4Rules, noKernel: noBlockKernel},
	{name: QAT, formats: []Format{Int8}, calibrated: true, trained: true},
	{name: QAT, formats: []Format{Int4}, trained: true, rules: int4Rules, noKernel: noBlockKernel},
	{name: AutoRound, formats: []Format{Int4}, calibrated: true, rules: int4Rules, noKernel: noBlockKernel},
	{name: RTN, formats: []Format{NF4, FP4}, rules: float4Rules, noKernel: noBlockKernel},
	{name: Convert, formats: []Format{FP16, BF16}},
}

// MethodNames lists what --method takes.
var MethodNames = []Method{Auto, Dynamic, Static, WeightOnly, RTN, HQQ, GPTQ, AWQ, QAT, AutoRound}

// find returns the line of the table for a format and a method.
func find(f Format, name Method) (method, bool) {
	if name == Stored {
		return storedMethod, f == Int4 || f == Int8
	}
	i := slices.IndexFunc(methods, func(m method) bool { return m.name == name && slices.Contains(m.formats, f) })
	if i < 0 {
		return method{}, false
	}
	return methods[i], true
}

// MethodsOf lists the methods of a format.
func MethodsOf(f Format) []Method {
	var out []Method
	for _, m := range methods {
		if slices.Contains(m.formats, f) {
			out = append(out, m.name)
		}
	}
	return out
}

// CheckMethod refuses a method that a format does not have.
func CheckMethod(f Format, name Method) error {
	if _, ok := find(f, name); ok || name == Auto {
		return nil
	}
	var names []string
	for _, m := range MethodsOf(f) {
		if m != Convert {
			names = append(names, string(m))
		}
	}
	if len(names) == 0 {
		return fmt.Errorf("%s has no methods to choose from", f)
	}
	return fmt.Errorf("%s has no method %q (valid: auto, %s)", f, name, strings.Join(names, ", "))
}

// Calibrated reports whether the method needs what a run over data shows.
func (o *Options) Calibrated() bool {
	m, ok := find(o.Format, o.Method)
	return ok && m.calibrated
}

// Trained reports whether the method learns weights.
func (o *Options) Trained() bool {
	m, ok := find(o.Format, o.Method)
	return ok && m.trained
}

// Narrow reports whether the weights have fewer bits than their format.
func (o *Options) Narrow() bool {
	return o.Format == Int8 && o.Bits < 8 || o.Format == Int4 && o.Bits < 4
}

// static reports whether activations get fixed ranges.
func (o *Options) static() bool { return o.Format == Int8 && (o.Method == Static || o.Method == QAT) }

// Resolve makes a method of Auto: with data the one that uses it, else the
// format's first. Which of GPTQ and AWQ is better has to be measured: GPTQ
// stands for both until then.
func (o *Options) Resolve(calibrated bool) {
	if o.Method != Auto {
		return
	}
	for _, m := range methods {
		if slices.Contains(m.formats, o.Format) && m.calibrated == calibrated {
			o.Method = m.name
			return
		}
	}
	o.Method = MethodsOf(o.Format)[0]
}
