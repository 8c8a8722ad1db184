package layers_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"

	"optim/internal/layers"
)

// TestImports reads the imports of every package, with every build tag that the
// module has.
func TestImports(t *testing.T) {
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Imports", "-tags", "trt,cuda", "optim/...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	n := 0
	for dec := json.NewDecoder(bytes.NewReader(out)); ; n++ {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		for _, to := range p.Imports {
			if strings.HasSuffix(p.ImportPath, "test") && layers.Room(to) == "ort" {
				continue // helpers of tests
			}
			if why := layers.Problem(p.ImportPath, to); why != "" {
				t.Error(why)
			}
			if strings.HasSuffix(to, "/orttest") {
				t.Errorf("%s imports %s, which is for tests", p.ImportPath, to)
			}
		}
	}
	if n < 3 {
		t.Errorf("only %d packages found", n)
	}
}

func TestProblem(t *testing.T) {
	for _, c := range []struct {
		from, to string
		fine     bool
	}{
		{"optim/internal/quant", "optim/internal/onnx/fold", true},
		{"optim/internal/onnx/fold", "optim/internal/onnx", true},
		{"optim/internal/tensor", "optim/internal/onnx", false},
		{"optim/internal/onnx", "optim/internal/ort", false},
		{"optim/internal/eval", "optim/internal/report", false},
		{"optim/cmd/optim", "optim/internal/report", true},
		{"optim/internal/eval", "github.com/yalue/onnxruntime_go", false},
		{"optim/internal/ort", "github.com/yalue/onnxruntime_go", true},
		{"optim/internal/unheard", "optim/internal/tensor", false},
		{"optim/scripts/ortlib", "optim/internal/ort/embedded", true},
	} {
		if why := layers.Problem(c.from, c.to); (why == "") != c.fine {
			t.Errorf("%s → %s: %q", c.from, c.to, why)
		}
	}
}
