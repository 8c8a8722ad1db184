package ort

import (
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"optim/internal/tensor"
)

// profileText has a run that warms up, one that counts, and one that breaks off.
const profileText = `[
{"cat" : "Session","pid" :1,"tid" :1,"dur" :9,"ts" :2,"ph" : "X","name" :"model_loading_array","args" : {}},
{"cat" : "Node","pid" :1,"tid" :1,"dur" :500,"ts" :3,"ph" : "X","name" :"b_kernel_time","args" : {"op_name" : "MatMul","provider" : "CPUExecutionProvider","node_index" : "0","input_type_shape" : [{"float":[2,3]},{"uint8":[]}],"output_type_shape" : [{"double":[2,4]}],"parameter_size" : "48"}},
{"cat" : "Session","pid" :1,"tid" :1,"dur" :600,"ts" :2,"ph" : "X","name" :"SequentialExecutor::Execute","args" : {}},
{"cat" : "Session","pid" :1,"tid" :1,"dur" :610,"ts" :1,"ph" : "X","name" :"model_run","args" : {}},
{"cat" : "Node","pid" :1,"tid" :1,"dur" :20,"ts" :1003,"ph" : "X","name" :"b_kernel_time","args" : {"op_name" : "MatMul","provider" : "CPUExecutionProvider","node_index" : "0"}},
{"cat" : "Node","pid" :1,"tid" :1,"dur" :5,"ts" :1024,"ph" : "X","name" :"a_kernel_time","args" : {"op_name" : "Add","provider" : "CPUExecutionProvider","node_index" : "1"}},
{"cat" : "Node","pid" :1,"tid" :1,"dur" :1,"ts" :1024,"ph" : "X","name" :"a_fence_before","args" : {"op_name" : "Add"}},
{"cat" : "Node","pid" :1,"tid" :1,"dur" :7,"ts" :1029,"ph" : "X","name" :"a_kernel_time","args" : {"op_name" : "Add","provider" : "CPUExecutionProvider","node_index" : "1"}},
{"cat" : "Node","pid" :1,"tid" :2,"dur" :3,"ts" :1030,"ph" : "X","name" :"other_kernel_time","args" : {"op_name" : "Neg","provider" : "CPUExecutionProvider","node_index" : "9"}},
{"cat" : "Node","pid" :1,"tid" :1,"dur" :25,"ts" :1024,"ph" : "X","name" :"loop_kernel_time","args" : {"op_name" : "Loop","provider" : "CPUExecutionProvider","node_index" : "2"}},
{"cat" : "Node","pid" :1,"tid" :1,"dur" :2,"ts" :1051,"ph" : "X","name" :"a_kernel_time","args" : {"op_name" : "Add","provider" : "CUDAExecutionProvider","node_index" : "3"}},
{"cat" : "Session","pid" :1,"tid" :1,"dur" :60,"ts" :1000,"ph" : "X","name" :"model_run","args" : {}},
{"cat" : "Node","pid" :1,"tid" :1,"dur" :7000,"ts" :2000,"ph" : "X","name" :"b_kernel_time","args" : {"op_name" : "MatMul","provider" : "CPUExecutionProvider","node_index" : "0"}}
]`

func TestParseProfile(t *testing.T) {
	got, err := parseProfile(strings.NewReader(profileText), 1)
	if err != nil {
		t.Fatal(err)
	}
	const us = time.Microsecond
	want := Trace{Runs: 1, Wall: 60 * us, Nodes: []NodeTime{
		{Name: "b", Op: "MatMul", Provider: "cpu", Calls: 1, Total: 20 * us, Least: 20 * us, Median: 20 * us, ConstantBytes: 48,
			Inputs:  []Slot{{tensor.Float32, tensor.Shape{2, 3}}, {tensor.Uint8, tensor.Shape{}}},
			Outputs: []Slot{{tensor.Float64, tensor.Shape{2, 4}}}},
		{Name: "loop", Op: "Loop", Provider: "cpu", Index: 2, Calls: 1, Total: (25 - 5 - 7) * us, Least: 13 * us, Median: 13 * us},
		{Name: "a", Op: "Add", Provider: "cpu", Index: 1, Calls: 2, Total: 12 * us, Least: 12 * us, Median: 12 * us},
		{Name: "other", Op: "Neg", Provider: "cpu", Index: 9, Calls: 1, Total: 3 * us, Least: 3 * us, Median: 3 * us},
		{Name: "a", Op: "Add", Provider: "cuda", Index: 3, Calls: 1, Total: 2 * us, Least: 2 * us, Median: 2 * us},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if n := KernelCounts(got.Nodes); n["Add"] != 2 || n["MatMul"] != 1 || len(n) != 4 {
		t.Errorf("kernels %v", n)
	}
	if n := ProviderCounts(got.Nodes); n["cpu"] != 4 || n["cuda"] != 1 || len(n) != 2 {
		t.Errorf("providers %v", n)
	}
	all, err := parseProfile(strings.NewReader(profileText), 0)
	if err != nil || all.Runs != 2 || all.Wall != 670*us || all.Nodes[0].Total != 520*us || all.Nodes[0].Calls != 2 ||
		all.Nodes[0].Median != 260*us || all.Nodes[0].Least != 20*us || all.Nodes[1].Least != 0 || all.Nodes[1].Median != 13*us/2 {
		t.Errorf("all runs: %+v, %v", all, err)
	}
	if none, err := parseProfile(strings.NewReader(profileText), 2); err != nil || none.Runs != 0 || len(none.Nodes) != 0 {
		t.Errorf("behind the last run: %+v, %v", none, err)
	}
}

// TestParseRawNames: names stand in a profile as they are in the model.
func TestParseRawNames(t *testing.T) {
	for _, name := range []string{`say "x"`, `a"b'c\`, "two\nlines", "\x1b[31mred\a", "zero\x00", `C:\net`, `""`, "é\xff", `"`} {
		text := strings.ReplaceAll(profileText, "b_kernel_time", name+"_kernel_time")
		for _, r := range []io.Reader{strings.NewReader(text), iotest.OneByteReader(strings.NewReader(text))} {
			got, err := parseProfile(r, 0)
			if err != nil || len(got.Nodes) != 5 || got.Nodes[0].Op != "MatMul" || got.Nodes[0].Name != strings.ToValidUTF8(name, "\ufffd") {
				t.Errorf("%q: got %+v, %v", name, got, err)
			}
		}
	}
}

func FuzzParseProfile(f *testing.F) {
	f.Add(profileText, 0)
	f.Add(profileText, 1)
	for _, s := range []string{"", "[]", "{}", "[1]", "[", `[{"cat":"Node"`, profileText[:len(profileText)-1],
		`[{"cat":"Session","name":"model_run","dur":1e12}]`,
		`[{"cat":"Node","name":"n_kernel_time","ts":5,"dur":2},{"cat":"Node","name":"n_kernel_time","ts":-1e300,"dur":1},{"cat":"Session","name":"model_run"}]`,
		`[{"cat":"Node","name":"n_kernel_time","args":{"input_type_shape":[{"float":[1],"int8":[]},{}],"node_index":"x","parameter_size":"-"}},{"cat":"Session","name":"model_run"}]`} {
		f.Add(s, 0)
	}
	f.Fuzz(func(t *testing.T, text string, skip int) {
		trace, err := parseProfile(strings.NewReader(text), skip)
		if err != nil && trace.Nodes != nil {
			t.Error("an error with a result")
		}
		if trace.Runs < 0 || trace.Wall < 0 || trace.Runs == 0 && len(trace.Nodes) > 0 {
			t.Errorf("%+v", trace)
		}
		for _, n := range trace.Nodes {
			if n.Calls < 1 || n.Total < 0 || n.Least < 0 || n.Median < n.Least || n.Median > n.Total {
				t.Errorf("%+v", n)
			}
		}
	})
}

func TestParseProfileRefuses(t *testing.T) {
	for _, text := range []string{"", "{}", "null", `[{"cat":1}]`, "[{}", profileText[:len(profileText)-1],
		`[{"cat":"Node","dur":-1}]`, `[{"cat":"Session","name":"model_run","dur":1e13}]`} {
		if trace, err := parseProfile(strings.NewReader(text), 0); err == nil {
			t.Errorf("%.20q gives %+v", text, trace)
		}
	}
}

// TestParseProfileBounds: an event without end is not read to its end.
func TestParseProfileBounds(t *testing.T) {
	endless := io.MultiReader(strings.NewReader(`[{"name":"`), &letters{})
	if _, err := parseProfile(endless, 0); err == nil || !strings.Contains(err.Error(), "event 0: longer than 16777216 bytes") {
		t.Errorf("error %v", err)
	}
}

type letters struct{ given int }

func (l *letters) Read(p []byte) (int, error) {
	if l.given += len(p); l.given > 4*maxProfileEvent {
		panic("read on")
	}
	for i := range p {
		p[i] = 'a'
	}
	return len(p), nil
}
