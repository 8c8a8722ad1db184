package ort

import (
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

const profileText = `[
{"cat" : "Session","pid" :1,"tid" :1,"dur" :9,"ts" :2,"ph" : "X","name" :"model_loading_array","args" : {}},
{"cat" : "Node","dur" :20,"ts" :3,"ph" : "X","name" :"b_kernel_time","args" : {"op_name" : "MatMul","provider" : "CPUExecutionProvider"}},
{"cat" : "Node","dur" :5,"ts" :4,"ph" : "X","name" :"a_kernel_time","args" : {"op_name" : "Add","provider" : "CPUExecutionProvider","node_index" : "1"}},
{"cat" : "Node","dur" :1,"ts" :4,"ph" : "X","name" :"a_fence_before","args" : {"op_name" : "Add"}},
{"cat" : "Node","dur" :7,"ts" :9,"ph" : "X","name" :"a_kernel_time","args" : {"op_name" : "Add","provider" : "CPUExecutionProvider"}},
{"cat" : "Node","dur" :7,"ts" :9,"ph" : "X","name" :"c_kernel_time","args" : {"op_name" : "Add","provider" : "CUDAExecutionProvider"}}
]`

func TestParseProfile(t *testing.T) {
	got, err := parseProfile(strings.NewReader(profileText))
	if err != nil {
		t.Fatal(err)
	}
	want := []NodeTime{
		{"b", "MatMul", "cpu", 1, 20 * time.Microsecond},
		{"a", "Add", "cpu", 2, 12 * time.Microsecond},
		{"c", "Add", "cuda", 1, 7 * time.Microsecond},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if n := KernelCounts(got); n["Add"] != 2 || n["MatMul"] != 1 || len(n) != 2 {
		t.Errorf("kernels %v", n)
	}
	if n := ProviderCounts(got); n["cpu"] != 2 || n["cuda"] != 1 || len(n) != 2 {
		t.Errorf("providers %v", n)
	}
}

// TestParseRawNames: names stand in a profile as they are in the model.
func TestParseRawNames(t *testing.T) {
	for _, name := range []string{`say "x"`, `a"b'c\`, "two\nlines", "\x1b[31mred\a", "zero\x00", `C:\net`, `""`, "é\xff", `"`} {
		text := strings.ReplaceAll(profileText, "b_kernel_time", name+"_kernel_time")
		for _, r := range []io.Reader{strings.NewReader(text), iotest.OneByteReader(strings.NewReader(text))} {
			got, err := parseProfile(r)
			if err != nil || len(got) != 3 || got[0].Op != "MatMul" || got[0].Name != strings.ToValidUTF8(name, "\ufffd") {
				t.Errorf("%q: got %+v, %v", name, got, err)
			}
		}
	}
}

func FuzzParseProfile(f *testing.F) {
	f.Add(profileText)
	for _, s := range []string{"", "[]", "{}", "[1]", "[", `[{"cat":"Node"`, profileText[:len(profileText)-1]} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		nodes, err := parseProfile(strings.NewReader(text))
		if err != nil && nodes != nil {
			t.Error("an error with a result")
		}
		for _, n := range nodes {
			if n.Calls < 1 {
				t.Errorf("%+v", n)
			}
		}
	})
}

func TestParseProfileRefuses(t *testing.T) {
	for _, text := range []string{"", "{}", "null", `[{"cat":1}]`, "[{}", profileText[:len(profileText)-1]} {
		if nodes, err := parseProfile(strings.NewReader(text)); err == nil {
			t.Errorf("%.20q gives %+v", text, nodes)
		}
	}
}
