package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"optim/internal/trt"
)

// TestMain lets scripts call the real main under the name optim.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"optim": func() { os.Exit(Main(os.Args[1:], systemStreams())) },
	})
}

// TestScripts runs testdata/script/*.txtar. A script finds the repository's
// data under $DATA and the runtime library in OPTIM_ORT_LIB; "exits N COMMAND"
// asserts an exit status.
func TestScripts(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	scripts, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	library := os.Getenv("OPTIM_ORT_LIB")
	if library == "" {
		library = filepath.Join(root, "lib", "libonnxruntime.so.1")
	}
	_, missing := os.Stat(library)
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "",
		Setup: func(e *testscript.Env) error {
			e.Setenv("DATA", filepath.Join(root, "testdata"))
			e.Setenv("HOME", e.WorkDir)
			if missing == nil {
				e.Setenv("OPTIM_ORT_LIB", library)
			}
			if dir := os.Getenv("OPTIM_TRT_LIB"); trt.Built && dir != "" {
				e.Setenv("OPTIM_TRT_LIB", dir)
			}
			return nil
		},
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "ort":
				return missing == nil, nil
			case "trt": // the program has TensorRT, and the library is there
				return trt.Built && os.Getenv("OPTIM_TRT_LIB") != "", nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits,
		},
	})
}

// exits runs a command and asserts its exit status. The streams are there for
// stdout and stderr.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS COMMAND [ARG...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		code, ok := err.(interface{ ExitCode() int })
		if !ok {
			ts.Fatalf("%s: %v", args[1], err)
		}
		got = code.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit status %d, not %d", got, want)
	}
}
