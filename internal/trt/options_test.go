package trt

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"optim/internal/tensor"
)

func TestParseShapes(t *testing.T) {
	for text, want := range map[string][]Shape{
		"x:1x3x224x224":              {{"x", []int64{1, 3, 224, 224}}},
		"ids:1x128,mask:1x128":       {{"ids", []int64{1, 128}}, {"mask", []int64{1, 128}}},
		"a:b:2x2":                    {{"a:b", []int64{2, 2}}},
		"'a,b:c':1,d:scalar":         {{"a,b:c", []int64{1}}, {"d", []int64{}}},
		"n*:4":                       {{"n*", []int64{4}}},
		"shape:-1x2":                 {{"shape", []int64{-1, 2}}},
		"x:1x1x1x1x1x1x1x2147483647": {{"x", []int64{1, 1, 1, 1, 1, 1, 1, 2147483647}}},
	} {
		got, err := ParseShapes(text)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "x", "x:", ":1", "x:1x", "x:a", "x:1,x:2", "'x:1", "x:1,", "x:1x1x1x1x1x1x1x1x1", "x:99999999999", "a**:1", "x:1 2"} {
		if got, err := ParseShapes(text); err == nil {
			t.Errorf("%q gives %v", text, got)
		}
	}
}

// FuzzParseShapes: what is read is written again as it was.
func FuzzParseShapes(f *testing.F) {
	for _, s := range []string{"x:1x2", "'a,b':1,c:scalar", "a:b:3", "*:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		shapes, err := ParseShapes(text)
		if err != nil {
			return
		}
		var parts []string
		for _, s := range shapes {
			parts = append(parts, "'"+s.Name+"':"+FormatDims(s.Dims))
		}
		again, err := ParseShapes(strings.Join(parts, ","))
		if err != nil || !reflect.DeepEqual(again, shapes) {
			t.Fatalf("%q: %v, again %v, %v", text, shapes, again, err)
		}
	})
}

func image(batch string) Input {
	return Input{Name: "x", DType: tensor.Float32, HasShape: true, Dims: []Axis{{-1, batch}, {Size: 3}}}
}

func TestProfiles(t *testing.T) {
	fixed := Input{Name: "x", HasShape: true, Dims: []Axis{{Size: 2}}}
	text := Input{Name: "ids", DType: tensor.Int64, HasShape: true, Dims: []Axis{{-1, "batch_size"}, {-1, "sequence_length"}}}
	limits := Ranges{MaxBatch: 32, MaxSeq: 512}
	for _, c := range []struct {
		inputs []Input
		r      Ranges
		want   string // profiles as text, or a part of the error
	}{
		{[]Input{fixed}, limits, "[]"},
		{[]Input{image("batch")}, limits, "[map[x:{[1 3] [16 3] [32 3] false}]]"},
		{[]Input{image("n")}, Ranges{MaxBatch: 7}, "[map[x:{[1 3] [4 3] [7 3] false}]]"},
		{[]Input{text}, limits, "[map[ids:{[1 1] [16 256] [32 512] false}]]"},
		{[]Input{image("width")}, limits, "profile 0 has no sizes for x float32[width x 3]"},
		{[]Input{{Name: "past", HasShape: true, Dims: []Axis{{-1, "past_sequence + 1"}}}}, limits, "has no sizes for past"},
		{[]Input{{Name: "any", DType: tensor.Float32}}, limits, "profile 0 has no sizes for any"},
		{[]Input{image("batch")}, Ranges{Min: []string{"x:1x3"}, Opt: []string{"x:2x3"}, Max: []string{"x:4x3"}, MaxBatch: 9}, "[map[x:{[1 3] [2 3] [4 3] false}]]"},
		{[]Input{text, {Name: "mask", DType: tensor.Int64, HasShape: true, Dims: text.Dims}}, Ranges{Min: []string{"ids:1x8"}, Max: []string{"ids:2x64"}, MaxBatch: 9, MaxSeq: 9},
			"[map[ids:{[1 8] [2 64] [2 64] false} mask:{[1 8] [2 64] [2 64] false}]]"},
		{[]Input{image("batch")}, Ranges{Opt: []string{"x:2x3"}}, "[map[x:{[2 3] [2 3] [2 3] false}]]"},
		{[]Input{image("batch")}, Ranges{Min: []string{"x:1x3", "x:5x3"}, Max: []string{"x:4x3", "x:9x3"}}, "[map[x:{[1 3] [4 3] [4 3] false}] map[x:{[5 3] [9 3] [9 3] false}]]"},
		{[]Input{image("batch")}, Ranges{Min: []string{"x:1x3", "x:5x3"}, Max: []string{"x:4x3"}}, "--max-shapes is given 1 times"},
		{[]Input{image("batch")}, Ranges{Max: []string{"y:1x3"}}, `names "y", which is no input`},
		{[]Input{image("batch")}, Ranges{Max: []string{"x:1x4"}}, "axis 1 of the model is 3"},
		{[]Input{image("batch")}, Ranges{Max: []string{"x:1"}}, "has 2 dimensions, not 1"},
		{[]Input{image("batch")}, Ranges{Min: []string{"x:4x3"}, Max: []string{"x:2x3"}}, "are not in order"},
		{[]Input{image("batch")}, Ranges{Min: []string{"x:0x3"}, Max: []string{"x:2x3"}}, "sizes begin at 1"},
		{[]Input{image("batch")}, Ranges{Max: []string{"x=3"}}, "--max-shapes: "},
		{[]Input{{Name: "s", DType: tensor.Int64, HasShape: true, Dims: []Axis{{Size: 2}}, ShapeTensor: true}}, Ranges{Min: []string{"s:1x-1"}, Max: []string{"s:4x-1"}}, "[map[s:{[1 -1] [4 -1] [4 -1] true}]]"},
		{[]Input{{Name: "s", DType: tensor.Int64, HasShape: true, Dims: []Axis{{Size: 2}}, ShapeTensor: true}}, limits, "as --max-shapes s:NxN"},
	} {
		p, _, err := Profiles(c.inputs, c.r)
		got := fmt.Sprint(p)
		if err != nil {
			var f *FlagError
			got = err.Error()
			if errors.As(err, &f) {
				got += " " + f.Hint
			}
		}
		if !strings.Contains(got, c.want) || err == nil && got != c.want {
			t.Errorf("%v: %s, not %s", c.r, got, c.want)
		}
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		o       BuildOptions
		flavour string
		timing  bool
		want    string
	}{
		{BuildOptions{OptLevel: -1}, RTX, false, ""}, {BuildOptions{OptLevel: 5, HWCompat: "none"}, Enterprise, true, ""},
		{BuildOptions{OptLevel: 9}, RTX, false, "--opt-level must be from 0 to 5"},
		{BuildOptions{Capabilities: []int{89}}, Enterprise, false, "--cc is not offered by TensorRT"},
		{BuildOptions{}, RTX, true, "--timing-cache is not offered"}, {BuildOptions{VersionCompatible: true}, RTX, false, "--version-compatible is not offered"},
		{BuildOptions{HWCompat: "ampere+"}, RTX, false, "--hw-compat is not offered"},
	} {
		err := c.o.Check(c.flavour, c.timing)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v for %s: %v", c.o, c.flavour, err)
		}
	}
	if cc, err := ParseCapabilities([]string{"8.9", " 12.0"}); err != nil || !reflect.DeepEqual(cc, []int{89, 120}) {
		t.Errorf("%v, %v", cc, err)
	}
	for _, bad := range []string{"9.0", "89", "8.9.1", "x", "", "8.10"} {
		if cc, err := ParseCapabilities([]string{bad}); err == nil {
			t.Errorf("%q gives %v", bad, cc)
		}
	}
	if _, err := ParseCapabilities([]string{"8.9", "8.9"}); err == nil {
		t.Error("a capability may be named twice")
	}
}
