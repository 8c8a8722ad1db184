package trt

import (
	"os"
	"reflect"
	"testing"
)

// TestEngineLog reads what a builder said of mnist-cnn with Q/DQ.
func TestEngineLog(t *testing.T) {
	b, err := os.ReadFile("testdata/rtx-1.7.1.log")
	if err != nil {
		t.Fatal(err)
	}
	var l EngineLog
	l.Add(string(b))
	if len(l.Layers) != 16 || l.Layers[2].Name != "/stem/stem.0/Conv_myl0_2" || l.Layers[2].Type != "correlation" {
		t.Fatalf("%d layers: %+v", len(l.Layers), l.Layers[:min(3, len(l.Layers))])
	}
	if got := Types(l.Layers); !reflect.DeepEqual(got, map[string]int{"int8": 7, "float32": 8}) {
		t.Errorf("types %v", got)
	}
	if l.ActivationBytes == nil || *l.ActivationBytes != 8894464 || l.WeightsBytes == nil || *l.WeightsBytes != 55048 {
		t.Errorf("activations %v, weights %v", l.ActivationBytes, l.WeightsBytes)
	}
	var none EngineLog
	none.Add("Name: broken\nTotal Activation Memory: many bytes\n")
	if none.Layers != nil || none.ActivationBytes != nil {
		t.Errorf("%+v", none)
	}
}

func FuzzEngineLog(f *testing.F) {
	f.Add("Name: a, LayerType: gemm, Inputs: [ { Datatype: Int8 }], Outputs: [ { Datatype: Float }]")
	f.Fuzz(func(t *testing.T, text string) {
		var l EngineLog
		l.Add(text)
		Types(l.Layers)
	})
}

// TestInspector reads the forms of TensorRT 10 and 11.
func TestInspector(t *testing.T) {
	for _, c := range []struct {
		text string
		want map[string]int
	}{
		{`{"Layers":[{"Name":"a","LayerType":"gemm","Inputs":[{"Name":"x","Datatype":"Half"}],"Constants":[{"Name":"w","Datatype":"Half"}],"Outputs":[{"Datatype":"Float"}]}],"I/O Tensors":[{"Name":"x"}]}`,
			map[string]int{"float16": 1}},
		{`{"Layers":[{"Name":"a","LayerType":"CaskConvolution","Inputs":[{"Name":"x","Format/Datatype":"Thirty-two wide channel vectorized row major Int8 format"}]},
			{"Name":"b","Inputs":[{"Format/Datatype":"Row major linear FP32"}]}],"Bindings":["x"]}`, map[string]int{"int8": 1, "float32": 1}},
		{`{"Layers":[{"Name":"q","LayerType":"kgen","Inputs":[{"Datatype":"Int8"}],"Constants":[{"Datatype":"Float"}]},
			{"Name":"r","LayerType":"Reformat","Inputs":[{"Format/Datatype":"Row major Int8 format"}]}]}`, map[string]int{"float32": 1}},
		{`{"Layers":["a","b"]}`, map[string]int{}}, {`{}`, map[string]int{}},
	} {
		layers, err := ParseInspector([]byte(c.text))
		if got := Types(layers); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v, %v", c.text, got, err)
		}
	}
	for _, bad := range []string{"", "no", `{"Layers":[3]}`} {
		if _, err := ParseInspector([]byte(bad)); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
}

func FuzzInspector(f *testing.F) {
	f.Add([]byte(`{"Layers":[{"Name":"a","Inputs":[{"Datatype":"Half"}]}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if layers, err := ParseInspector(b); err == nil {
			Types(layers)
		}
	})
}
