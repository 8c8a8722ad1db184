package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"optim/internal/ort"
	"optim/internal/ort/orttest"
)

// run calls Main as the process would, with buffers for streams.
func run(t testing.TB, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = Main(args, &Streams{In: strings.NewReader(""), Out: &out, Err: &errs})
	return code, out.String(), errs.String()
}

// TestJSONIsOneObject checks that --json prints exactly one object.
func TestJSONIsOneObject(t *testing.T) {
	model := filepath.Join("..", "..", "testdata", "bad", "ok.onnx")
	for _, args := range [][]string{
		{"version", "--json"},
		{"inspect", "--json", model},
		{"inspect", "--json", "--nodes", "--weights", "--values", "1,2", model},
		{"inspect", "--json", "--values", "70000,1"},
	} {
		code, stdout, stderr := run(t, args...)
		d := json.NewDecoder(strings.NewReader(stdout))
		var v map[string]any
		if err := d.Decode(&v); err != nil || code != 0 || stderr != "" || d.More() {
			t.Errorf("%q: exit %d, %v, stderr %q, stdout %q", args, code, err, stderr, stdout)
		}
	}
}

func TestExitOf(t *testing.T) {
	base := errors.New("base")
	for _, c := range []struct {
		err  error
		want exitCode
	}{
		{nil, exitOK},
		{base, exitFailure},
		{usagef("x"), exitUsage},
		{fmt.Errorf("wrapped: %w", usagef("x")), exitUsage},
		{badInput(base), exitBadInput},
		{badInput(usagef("x")), exitUsage},
		{badInput(fmt.Errorf("%w: gone", ort.ErrLibrary)), exitRuntime},
		{badInput(nil), exitOK},
		{limitf("x"), exitLimit},
		{withHint(limitf("x"), "try y"), exitLimit},
		{withHint(base, "try y"), exitFailure},
		{errors.Join(base, limitf("x")), exitLimit},
	} {
		if got := exitOf(c.err); got != c.want {
			t.Errorf("exitOf(%v) = %d, want %d", c.err, got, c.want)
		}
	}
	if got := hintOf(badInput(fmt.Errorf("w: %w", withHint(base, "try %d", 1)))); got != "try 1" {
		t.Errorf("hint %q", got)
	}
	if got := hintOf(usagef("x")); got != "" {
		t.Errorf("hint %q", got)
	}
}

func TestNearest(t *testing.T) {
	names := []string{"inspect", "eval", "doctor", "version"}
	for typed, want := range map[string]string{
		"inspct": "inspect", "INSPECT": "inspect", "evla": "", "evl": "eval", "docter": "doctor",
		"quantize": "", "": "", "verison": "version",
	} {
		if got := nearest(typed, names); got != want {
			t.Errorf("nearest(%q) = %q, want %q", typed, got, want)
		}
	}
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"kitten", "sitting", 3}, {"ab", "ba", 2}} {
		if got := editDistance(c.a, c.b); got != c.want {
			t.Errorf("editDistance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

func TestProgressLines(t *testing.T) {
	var b bytes.Buffer
	now := time.Unix(0, 0)
	p := newProgress(&b, false, false, "working", func() time.Time { return now })
	for range 100 { // 12 s in all
		now = now.Add(120 * time.Millisecond)
		p.Set(now.UnixMilli(), 12000)
	}
	p.Done()
	want := "working: 42 % after 5s\nworking: 84 % after 10s\n"
	if b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

func TestProgressBar(t *testing.T) {
	var b bytes.Buffer
	now := time.Unix(0, 0)
	p := newProgress(&b, true, false, "working", func() time.Time { return now })
	p.Set(1, 10)
	now = now.Add(900 * time.Millisecond)
	p.Set(2, 10)
	if b.Len() != 0 {
		t.Fatalf("a bar before a second is over: %q", b.String())
	}
	now = now.Add(200 * time.Millisecond)
	p.Set(3, 10)
	p.Done()
	if !strings.Contains(b.String(), "working") {
		t.Errorf("no bar: %q", b.String())
	}
}

func TestProgressOff(t *testing.T) {
	for name, a := range map[string]*app{
		"quiet":       {Streams: &Streams{Err: io.Discard}, globals: globals{quiet: true}},
		"no-progress": {Streams: &Streams{Err: io.Discard}, globals: globals{noProgress: true}},
		"json":        {Streams: &Streams{Err: io.Discard}, globals: globals{json: true}},
	} {
		p := a.progress("x")
		if p != nil {
			t.Errorf("%s: progress is shown", name)
		}
		p.Set(1, 2) // a nil progress takes everything
		p.Done()
	}
}

// TestInterrupt sends this process the signal of Ctrl-C while a long
// evaluation runs in it.
func TestInterrupt(t *testing.T) {
	t.Setenv(ort.LibraryEnv, orttest.Library(t))
	data := filepath.Join("..", "..", "testdata")
	var out, errs bytes.Buffer
	done := make(chan int)
	go func() {
		done <- Main([]string{"eval", filepath.Join(data, "models/tinygpt/tinygpt.onnx"), "--threads", "1",
			"--data", filepath.Join(data, "text/test.txt"), "--stride", "1"}, &Streams{Out: &out, Err: &errs})
	}()
	time.Sleep(time.Second) // Main listens from its first lines on
	if err := syscall.Kill(os.Getpid(), syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	select {
	case code := <-done:
		if code != int(exitInterrupted) || out.Len() != 0 || errs.String() != "optim: error: interrupted\n" {
			t.Errorf("exit %d, stdout %q, stderr %q", code, out.String(), errs.String())
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the signal had no effect")
	}
}
