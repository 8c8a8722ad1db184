package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"optim/internal/ort/orttest"
)

// TestReadme runs the examples of README.md in one script: every "$ optim …"
// of a console block, whose output must be what the block shows, and every
// command of a yaml block. The block "# optim.yaml" becomes that file.
// UPDATE_README=1 writes what is printed into the page instead, but for blocks
// that leave something out.
func TestReadme(t *testing.T) {
	if testing.Short() {
		t.Skip("it runs every example of the README")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(t.TempDir(), "readme.txtar")
	if err := os.WriteFile(script, []byte(readmeScript(t, string(text))), 0o666); err != nil {
		t.Fatal(err)
	}
	library := orttest.Library(t)
	shows := compareShown
	if os.Getenv("UPDATE_README") != "" {
		page := string(text)
		shows = func(ts *testscript.TestScript, _ bool, args []string) { page = replaceShown(ts, page, args[0]) }
		t.Cleanup(func() { // the script has ended by then
			if err := os.WriteFile(filepath.Join(root, "README.md"), []byte(page), 0o666); err != nil {
				t.Error(err)
			}
		})
	}
	testscript.Run(t, testscript.Params{
		Files: []string{script},
		Setup: func(e *testscript.Env) error {
			e.Setenv("OPTIM_ORT_LIB", library)
			e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
			e.Setenv("GITHUB_STEP_SUMMARY", filepath.Join(e.WorkDir, "summary.md"))
			return readmeFiles(root, e.WorkDir)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "shows": shows},
	})
}

// readmeFiles lays out what the examples expect: the repository's testdata,
// and the files that the step for CI names.
func readmeFiles(root, work string) error {
	data := filepath.Join(root, "testdata")
	for name, target := range map[string]string{
		"testdata": data, "calib.npz": filepath.Join(data, "digits/calib.npz"), "test.npz": filepath.Join(data, "digits/calib.npz"),
	} {
		if err := os.Symlink(target, filepath.Join(work, name)); err != nil {
			return err
		}
	}
	model, err := os.ReadFile(filepath.Join(data, "models/resnet-tiny/resnet-tiny-bn.onnx"))
	if err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(work, "bin"), 0o777); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(work, "model.onnx"), model, 0o666)
}

var fenced = regexp.MustCompile("(?ms)^```(console|yaml)\n(.*?)^```$")

// readmeScript turns the blocks of a page into a script.
func readmeScript(t *testing.T, page string) string {
	var script, files strings.Builder
	examples := 0
	for _, block := range fenced.FindAllStringSubmatch(page, -1) {
		kind, body := block[1], block[2]
		switch {
		case strings.HasPrefix(body, "# optim.yaml\n"):
			fmt.Fprintf(&files, "-- optim.yaml.later --\n%s", body)
			script.WriteString("cp optim.yaml.later optim.yaml\n")
		case kind == "yaml":
			for line := range strings.Lines(body) {
				if c := strings.TrimSpace(line); strings.HasPrefix(c, "optim ") {
					fmt.Fprintf(&script, "exits 0 %s\n", strings.ReplaceAll(c, `"`, ""))
					examples++
				}
			}
		default:
			for _, e := range consoleExamples(t, body) {
				examples++
				want := fmt.Sprintf("want-%d.txt", examples)
				fmt.Fprintf(&script, "exits %s %s\nshows %s\n", e.status, e.command, want)
				fmt.Fprintf(&files, "-- %s --\n%s", want, e.output)
			}
		}
	}
	if examples < 10 {
		t.Fatalf("README.md has %d examples: the blocks are not what this test reads", examples)
	}
	return script.String() + files.String()
}

type example struct{ command, status, output string }

// consoleExamples takes a block apart at its prompts; "$ echo $?" gives the
// exit status of the command before it.
func consoleExamples(t *testing.T, body string) []example {
	var out []example
	status := false
	for line := range strings.Lines(body) {
		switch command, prompt := strings.CutPrefix(line, "$ "); {
		case line == "$ echo $?\n" && len(out) > 0:
			status = true
		case prompt && strings.HasPrefix(command, "optim "):
			status = false
			out = append(out, example{command: strings.TrimSpace(command), status: "0"})
		case prompt || len(out) == 0:
			t.Fatalf("README.md: only optim runs in a console block, not %q", line)
		case status:
			out[len(out)-1].status = strings.TrimSpace(line)
		default:
			out[len(out)-1].output += line
		}
	}
	return out
}

// compareShown compares what the last command printed with a file. A line of "…"
// stands for any lines, "…" at the end of a line for its rest; figures that
// depend on the machine are not compared.
func compareShown(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: shows FILE")
	}
	got := measuredAway(ts.ReadFile("stdout"))
	want := measuredAway(ts.ReadFile(args[0]))
	if !linesMatch(want, got) {
		ts.Fatalf("README.md shows\n%s\nand this was printed\n%s", strings.Join(want, "\n"), strings.Join(got, "\n"))
	}
}

// replaceShown puts what the last command printed in the place of a file's
// text, unless that has lines which stand for others.
func replaceShown(ts *testscript.TestScript, page, file string) string {
	want := ts.ReadFile(file)
	if slices.Contains(strings.Split(want, "\n"), "…") {
		return page
	}
	return strings.Replace(page, want, ts.ReadFile("stdout"), 1)
}

var (
	timed    = regexp.MustCompile(`^  (speed|time) .*`)
	took     = regexp.MustCompile(`; took .*`)
	measured = regexp.MustCompile(`^  (quality|outputs) .*`)
	figures  = regexp.MustCompile(`[0-9][0-9.,]*`)
)

// measuredAway splits text into lines and masks what is measured. On a busy machine
// a small model may come out slower, which is said in a line of its own.
func measuredAway(text string) []string {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	lines = slices.DeleteFunc(lines, func(l string) bool {
		return strings.HasPrefix(l, "  note: the result is slower than the source")
	})
	for i, line := range lines {
		line = took.ReplaceAllString(timed.ReplaceAllString(line, "  $1"), "; took")
		lines[i] = measured.ReplaceAllStringFunc(line, func(s string) string { return figures.ReplaceAllString(s, "#") })
	}
	return lines
}

// linesMatch reports whether lines are what a pattern with "…" asks for.
func linesMatch(pattern, lines []string) bool {
	if len(pattern) == 0 {
		return len(lines) == 0
	}
	if pattern[0] == "…" {
		return linesMatch(pattern[1:], lines) || len(lines) > 0 && linesMatch(pattern, lines[1:])
	}
	if len(lines) == 0 {
		return false
	}
	head, open := strings.CutSuffix(pattern[0], "…")
	same := lines[0] == pattern[0] || open && strings.HasPrefix(lines[0], head)
	return same && linesMatch(pattern[1:], lines[1:])
}

func TestLinesMatch(t *testing.T) {
	for _, test := range []struct {
		pattern, lines string
		want           bool
	}{
		{"a\nb", "a\nb", true},
		{"a\nb", "a\nc", false},
		{"a", "a\nb", false},
		{"a\n…", "a", true},
		{"…\nc", "a\nb\nc", true},
		{"…\nc\n…", "a\nb", false},
		{"a…\nc", "about\nc", true},
		{"a…\nc", "but\nc", false},
		{"  speed 2.1 × (2.0 … 2.2)", "  speed 9 ×", true},
		{"a\n\nb", "a\n  note: the result is slower than the source: 0.92 ×\n\nb", true},
		{"  quality accuracy 0.91", "  quality accuracy 0.93", true},
		{"  quality accuracy 0.91", "  quality f1 0.93", false},
		{"wrote a; took 1 s", "wrote a; took 12 s", true},
		{"wrote a; took 1 s", "wrote b; took 1 s", false},
	} {
		if got := linesMatch(measuredAway(test.pattern), measuredAway(test.lines)); got != test.want {
			t.Errorf("pattern %q, lines %q: %v", test.pattern, test.lines, got)
		}
	}
}

// TestReadmeTables keeps the README's table of exit statuses and the flags that it
// names true.
func TestReadmeTables(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	for code, meaning := range exitMeaning {
		if row := fmt.Sprintf("| %d | %s |", code, meaning); !strings.Contains(page, row) {
			t.Errorf("README.md lacks %q", row)
		}
	}
	known := []string{"config"}
	for _, c := range newRootCmd(newApp(&Streams{})).Commands() {
		known = append(known, configKeys(c)...)
	}
	for _, name := range regexp.MustCompile("`--([a-z0-9-]+)").FindAllStringSubmatch(page, -1) {
		if !slices.Contains(known, name[1]) {
			t.Errorf("README.md names --%s, which is no flag", name[1])
		}
	}
}
