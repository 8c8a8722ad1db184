package bench

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"optim/internal/onnx"
	"optim/internal/onnx/onnxtest"
	"optim/internal/ort"
	"optim/internal/ort/orttest"
	"optim/internal/tensor"
)

// speak gives this program with an argument its input as text, and returns what it
// answered and how it ended.
func speak(t testing.TB, arg, input string) (stdout, stderr string, code int) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, arg)
	var out, errs strings.Builder
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &errs
	cmd.Run()
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// TestWorkerRefuses: what is no request ends a worker; one that cannot be answered
// is an answer.
func TestWorkerRefuses(t *testing.T) {
	for _, bad := range []string{"hello\n", `{"open":`, `{"open":{"Path":5}}`, `[{}]`} {
		if out, errs, code := speak(t, WorkerArg, bad); code == 0 || out != "" || !strings.Contains(errs, "no request") || strings.Contains(errs, "panic") {
			t.Errorf("%q: %q, %q, exit %d", bad, out, errs, code)
		}
	}
	open := fmt.Sprintf("{\"open\":{\"Path\":%q,\"Library\":{\"Library\":%q},\"Session\":{\"Threads\":1}}}\n", testdata(t, digits), orttest.Library(t))
	for _, bad := range []string{
		`{}`, `{"bind":{}}`, `{"bind":{"Batch":-1,"Concurrency":1}}`, `{"bind":{"Batch":1,"Concurrency":-1}}`,
		`{"warm":{"Runs":5}}`, `{"warm":{"Runs":-1}}`, `{"block":{"Runs":3}}`, `{"block":{}}`, `{"block":{"Runs":-3}}`,
		`{"profile":{}}`, `{"profile":{"Batch":1,"Runs":-1}}`, `{"server":{}}`, `{"decode":{"Prompt":-1}}`,
	} {
		out, errs, code := speak(t, WorkerArg, open+bad+"\n")
		answer := strings.Split(out, "\n")
		if code != 0 || errs != "" || len(answer) != 3 || !strings.HasPrefix(answer[1], `{"error"`) {
			t.Errorf("%s: %q, %q, exit %d", bad, out, errs, code)
		}
	}
}

// noiseArg makes this program one that answers while a library prints.
const noiseArg = "__noise"

func makeNoise() {
	answers, err := ownOutput(os.Stdout)
	if err != nil {
		panic(err)
	}
	fmt.Fprintln(os.Stdout, "noise")
	fmt.Fprintln(answers, "answer")
}

// TestOwnOutput: what a library prints does not stand between the answers.
func TestOwnOutput(t *testing.T) {
	if out, errs, code := speak(t, noiseArg, ""); out != "answer\n" || errs != "noise\n" || code != 0 {
		t.Errorf("answered %q, %q, exit %d", out, errs, code)
	}
}

// mortalArg makes this program a worker that ends when it is to bind batches of two.
const mortalArg = "__mortal"

func workUntilTwo() {
	in, requests := io.Pipe()
	go func() {
		lines := bufio.NewScanner(os.Stdin)
		for lines.Scan() {
			if strings.Contains(lines.Text(), `"Batch":2,`) {
				os.Exit(7)
			}
			fmt.Fprintln(requests, lines.Text())
		}
		requests.Close()
	}()
	if err := Work(in, os.Stdout); err != nil {
		panic(err)
	}
}

// TestSweepOutlivesWorker: a setting that ends the process does not end the sweep.
func TestSweepOutlivesWorker(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	o := short(t, digits)
	o.Scenario, o.Batches, o.Concurrency = Offline, []int{1, 2, 3}, []int{1}
	o.Worker = Command{self, []string{self, mortalArg}}
	sweep := mustRun(t, o).Models[0].Sweep
	if len(sweep) != 3 || sweep[0].Error != "" || !strings.Contains(sweep[1].Error, "exit status 7") || sweep[2].Error != "" || !(sweep[2].Throughput > 0) {
		t.Errorf("%+v", sweep)
	}
}

// busy is a model that keeps the runtime busy for longer than anybody waits, in a
// call that it does not end: functions that call each other twice in 40 levels.
func busy(t testing.TB) string {
	t.Helper()
	const depth = 40
	call := func(level int, in, out string) *onnx.Node {
		return &onnx.Node{OpType: fmt.Sprintf("F%d", level), Domain: "d", Name: out, Inputs: []string{in}, Outputs: []string{out}}
	}
	m := onnxtest.Model(15, &onnx.Graph{
		Inputs:  []*onnx.ValueInfo{onnxtest.Value("x", tensor.Float32, 1, 4)},
		Outputs: []*onnx.ValueInfo{onnxtest.Output("y")},
		Nodes:   []*onnx.Node{call(0, "x", "y")},
	})
	m.IRVersion = 8
	m.SetOpset("d", 1)
	for i := range depth {
		f := &onnx.Function{Name: fmt.Sprintf("F%d", i), Domain: "d", Inputs: []string{"a"}, Outputs: []string{"c"},
			Opsets: []onnx.Opset{{Version: 15}, {Domain: "d", Version: 1}},
			Nodes:  []*onnx.Node{call(i+1, "a", "b"), call(i+1, "b", "c")}}
		if i == depth-1 {
			f.Nodes = []*onnx.Node{onnx.NewNode("Relu", "last", []string{"a"}, []string{"c"})}
		}
		m.Functions = append(m.Functions, f)
	}
	path := filepath.Join(t.TempDir(), "busy.onnx")
	if _, err := m.WriteFile(path, onnx.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestWorkerWithoutParent: a worker ends soon after its input does, also where the
// runtime is in a call that it does not end.
func TestWorkerWithoutParent(t *testing.T) {
	w, err := start(Command{})
	if err != nil {
		t.Fatal(err)
	}
	o := &openRequest{Library: ort.Config{Library: orttest.Library(t)}, Path: busy(t)}
	ended := make(chan error, 1)
	go func() {
		w.ask(t.Context(), request{Open: o})
		ended <- w.wait()
	}()
	select {
	case err := <-ended:
		t.Fatalf("the model keeps nobody busy: %v", err)
	case <-time.After(time.Second):
	}
	w.in.Close()
	select {
	case <-ended:
	case <-time.After(patience + 10*time.Second):
		w.cmd.Process.Kill()
		t.Fatal("the worker goes on without a parent")
	}
}

// TestFit: as many sessions as have room, one always where its weights do.
func TestFit(t *testing.T) {
	for _, c := range []struct {
		sessions      int
		weights, room int64
		fits          bool
	}{{1, 100, 100, true}, {1, 101, 100, false}, {4, 25, 100, true}, {4, 26, 100, false}, {256, 0, 0, true}, {256, 1 << 62, 1 << 62, false}} {
		if err := fit(c.sessions, c.weights, c.room); (err == nil) != c.fits || err != nil && !strings.Contains(err.Error(), "GB of memory") {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
