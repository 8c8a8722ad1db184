package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rivo/uniseg"

	"optim/internal/bench"
	"optim/internal/report/benchtest"
)

func benchSamples() map[string]*Bench {
	out := map[string]*Bench{}
	for name, r := range benchtest.All() {
		out["bench-"+name] = &Bench{Header: Header{Command: "bench"}, Result: *r}
	}
	return out
}

// pictures are left out of golden files: their own tests look at them.
var pictures = regexp.MustCompile(`(?s)<svg .*?</svg>`)

func TestBenchGolden(t *testing.T) {
	for name, b := range benchSamples() {
		for ext, render := range map[string]func(w *bytes.Buffer) error{
			"txt":         func(w *bytes.Buffer) error { return b.Text(w, Style{Width: 80}) },
			"verbose.txt": func(w *bytes.Buffer) error { return b.Text(w, Style{Width: 100, Verbose: true}) },
			"quiet.txt":   func(w *bytes.Buffer) error { return b.Text(w, Style{Quiet: true}) },
			"md":          func(w *bytes.Buffer) error { return b.Markdown(w) },
			"csv":         func(w *bytes.Buffer) error { return b.CSV(w) },
			"html":        func(w *bytes.Buffer) error { return b.HTML(w) },
		} {
			var w bytes.Buffer
			if err := render(&w); err != nil {
				t.Errorf("%s.%s: %v", name, ext, err)
			}
			golden(t, "testdata/"+name+"."+ext, pictures.ReplaceAll(w.Bytes(), []byte("<svg/>")))
		}
	}
}

// TestBenchTextIsFit: no line is wider than the terminal, at any width, but those
// whose figures alone are; and nothing from a file moves the cursor.
func TestBenchTextIsFit(t *testing.T) {
	for name, b := range benchSamples() {
		for _, width := range []int{80, 100, 160} {
			for _, verbose := range []bool{false, true} {
				var w bytes.Buffer
				if err := b.Text(&w, Style{Width: width, Verbose: verbose}); err != nil {
					t.Fatal(err)
				}
				for line := range strings.Lines(w.String()) {
					line = strings.TrimSuffix(line, "\n")
					if n := uniseg.StringWidth(line); n > width && !strings.Contains(line, "models/") { // paths stay whole
						t.Errorf("%s, width %d: %d columns in %q", name, width, n, line)
					}
					if strings.ContainsAny(line, "\x1b\u202e") || strings.HasSuffix(line, " ") {
						t.Errorf("%s: a character that does harm, or a blank at the end, in %q", name, line)
					}
				}
			}
		}
	}
}

// TestBenchRowsStayApart: rows of one model with several batches, and names that are cut
// to the same, can be told apart at 80 columns.
func TestBenchRowsStayApart(t *testing.T) {
	for _, name := range []string{"bench-batches", "bench-hostile"} {
		b := benchSamples()[name]
		var w bytes.Buffer
		if err := b.times().text(&w, Style{Width: 80}); err != nil {
			t.Fatal(err)
		}
		rows := map[string]bool{}
		for line := range strings.Lines(w.String()) {
			if key, _, ok := strings.Cut(line, " ± "); ok { // the mean ends the key
				rows[key] = true
			}
		}
		measured := 1 // the heading
		for _, m := range b.Models {
			if m.Latency != nil {
				measured++
			}
		}
		if len(rows) != measured {
			t.Errorf("%s: %d different rows, not %d:\n%s", name, len(rows), measured, w.String())
		}
	}
}

func TestSplitKeepsColumns(t *testing.T) {
	g := &grid{head: []string{"model", ">batch", ">a", ">b", ">c", ">d", ">e", ">f", ">g"}}
	g.add("some-model.onnx", "8", "1.00 ± 0.10", "22", "333", "4444", "55555", "666666", "7777777")
	for width := 20; width < 120; width++ {
		var got []string
		for _, part := range split(g, 2, width) {
			if part.head[0] != "model" || part.head[1] != ">batch" || len(part.rows) != 1 || len(part.rows[0]) != len(part.head) {
				t.Fatalf("width %d: part %+v", width, part)
			}
			got = append(got, part.head[2:]...)
		}
		if !slices.Equal(got, g.head[2:]) {
			t.Errorf("width %d: columns %q", width, got)
		}
	}
	if parts := split(g, 2, 0); len(parts) != 1 {
		t.Errorf("%d tables without a limit", len(parts))
	}
	if even := split(g, 2, 62); len(even) != 2 || len(even[0].head) > len(even[1].head)+1 {
		t.Errorf("tables of %d and the rest, not even", len(even[0].head))
	}
}

func TestVerdict(t *testing.T) {
	for _, c := range []struct {
		speedup, low, high float64
		differs            bool
		want               string
	}{
		{2.314, 2.25, 2.38, true, "2.31× faster (2.25 … 2.38)"},
		{0.8333, 0.8, 0.862, true, "1.20× slower (1.16 … 1.25)"},
		{1.003, 0.98, 1.02, false, "~ no difference (0.980 … 1.02)"},
		{1, math.NaN(), math.Inf(1), false, "~ no difference (NaN … +Inf)"},
	} {
		if got := verdict(bench.Comparison{Speedup: c.speedup, Low: c.low, High: c.high, Differs: c.differs}); got != c.want {
			t.Errorf("%+v: %q, want %q", c, got, c.want)
		}
	}
}

// TestTail: a percentile is shown where at least one time is expected above it.
func TestTail(t *testing.T) {
	u := timeUnit([]float64{1})
	for _, c := range []struct {
		q    float64
		from int
	}{{0, 1}, {90, 10}, {95, 20}, {99, 100}, {99.9, 1000}} {
		if u.tail(1, c.q, c.from-1) != "" || u.tail(1, c.q, c.from) == "" {
			t.Errorf("p%g is not shown from %d times on", c.q, c.from)
		}
	}
}

func TestGrouped(t *testing.T) {
	for _, c := range [][2]string{
		{"0.25", "0.25"}, {"-0.25", "-0.25"}, {"999.9", "999.9"}, {"1234", "1,234"}, {"1234567.80", "1,234,567.80"}, {"-1234.5", "-1,234.5"},
	} {
		if got := grouped(c[0]); got != c[1] {
			t.Errorf("%s is written %q", c[0], got)
		}
	}
}

// verboseText is the report for a terminal.
func verboseText(t *testing.T, b *Bench) string {
	t.Helper()
	var w bytes.Buffer
	if err := b.Text(&w, Style{Verbose: true}); err != nil {
		t.Fatal(err)
	}
	return w.String()
}

// TestBaselineIsNamed: a row of the baseline with another name is named.
func TestBaselineIsNamed(t *testing.T) {
	b := benchSamples()["bench-one"]
	b.Baseline = "some/base.json"
	for base, want := range map[string]string{"resnet.onnx": "compared with resnet.onnx in base.json", b.Models[0].Name: "compared with base.json"} {
		b.Comparisons = []bench.Comparison{{Base: base, Other: b.Models[0].Name, Speedup: 2, Low: 1.9, High: 2.1, Differs: true}}
		if got := verboseText(t, b); !strings.Contains(got, want+"  time") {
			t.Errorf("no %q in %s", want, got)
		}
	}
}

// TestInterruptedSearch: without a rate no table is shown, and no claim is made.
func TestInterruptedSearch(t *testing.T) {
	b := benchSamples()["bench-cut"]
	b.Models = b.Models[2:]
	var page bytes.Buffer
	if err := b.HTML(&page); err != nil {
		t.Fatal(err)
	}
	for _, got := range []string{verboseText(t, b), page.String()} {
		if strings.Contains(got, "busy") || strings.Contains(got, "no rate") || !strings.Contains(got, "the search was interrupted after 2 rates") {
			t.Errorf("the search is reported as %s", got)
		}
	}
}

// TestQualitySamples: models with different numbers of samples have columns apart.
func TestQualitySamples(t *testing.T) {
	b := benchSamples()["bench-three"]
	if got := verboseText(t, b); !strings.Contains(got, "perplexity of 20 samples") {
		t.Errorf("no number of samples: %s", got)
	}
	b.Models[1].Quality.Samples = 7
	if got := verboseText(t, b); !strings.Contains(got, "perplexity, 20 samples") || !strings.Contains(got, "perplexity, 7 samples") {
		t.Errorf("no column for each number of samples: %s", got)
	}
}

// TestKernelsAboveTheRun: units are written, and an excess is explained.
func TestKernelsAboveTheRun(t *testing.T) {
	b := benchSamples()["bench-profiled"]
	p := *b.Models[0].Profile
	p.KernelMS, p.RunMS = 0.351, 0.0225
	b.Models[0].Profile = &p
	if got, want := verboseText(t, b), "kernels take 0.351 ms with the profiler, a whole run 22.5 µs without (medians of 50 runs each: the profiled runs were slower"; !strings.Contains(got, want) {
		t.Errorf("no %q in %s", want, got)
	}
}

// TestFilledInputsStandBelow: what inputs were filled with does not open the page.
func TestFilledInputsStandBelow(t *testing.T) {
	b := benchSamples()["bench-one"]
	b.Warnings = []string{`input "attention_mask": ones`, `input "x": no data`}
	var w bytes.Buffer
	if err := b.HTML(&w); err != nil {
		t.Fatal(err)
	}
	top, below, ok := strings.Cut(w.String(), "<h2>Machine and settings</h2>")
	if !ok || strings.Contains(top, "attention_mask") || !strings.Contains(below, "attention_mask") || !strings.Contains(top, "no data") {
		t.Errorf("notes are not where they belong: %s", pictures.ReplaceAllString(w.String(), ""))
	}
}

func TestTimeUnit(t *testing.T) {
	for _, c := range []struct {
		ms   []float64
		want string
	}{
		{[]float64{4.6, 1.7}, "1.70 ms"}, {[]float64{0.0117}, "11.7 µs"}, {[]float64{0.0002}, "0.200 µs"}, {[]float64{0.42}, "0.420 ms"},
		{[]float64{12.3}, "12.3 ms"}, {[]float64{421}, "421 ms"}, {[]float64{1500}, "1.50 s"}, {[]float64{123456}, "123 s"},
		{[]float64{0, math.NaN(), 4}, "4.00 ms"}, {nil, " ms"},
	} {
		u := timeUnit(c.ms)
		least := math.NaN()
		for _, v := range c.ms {
			if v > 0 && !(v >= least) {
				least = v
			}
		}
		if got := u.format(least) + " " + u.name; got != c.want {
			t.Errorf("%v: %q, want %q", c.ms, got, c.want)
		}
	}
}

func TestShort(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0", 999: "999", 1000: "1.00 k", 669_952: "670 k", 999_600: "1.00 M", 2_590_848: "2.59 M",
		7_241_732_096: "7.24 B", 3_000_000_000_000: "3.00 T",
	} {
		if got := short(n); got != want {
			t.Errorf("short(%d) = %q, want %q", n, got, want)
		}
	}
}

// TestBenchFields checks the names that scripts rely on, and that lists are never
// null.
func TestBenchFields(t *testing.T) {
	decode := func(b *Bench) map[string]any {
		var w bytes.Buffer
		if err := JSON(&w, b); err != nil {
			t.Fatal(err)
		}
		var m map[string]any
		if err := json.Unmarshal(w.Bytes(), &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	has := func(v any, names ...string) {
		t.Helper()
		for _, n := range names {
			if _, ok := v.(map[string]any)[n]; !ok {
				t.Errorf("no field %q in %v", n, v)
			}
		}
	}
	three := decode(benchSamples()["bench-three"])
	has(three, "command", "environment", "models", "comparisons")
	row := three["models"].([]any)[0].(map[string]any)
	has(row, "path", "provider", "nodes_per_provider", "batch", "concurrency", "runs", "latency_ms", "throughput_per_s",
		"bytes", "parameters", "peak_rss_bytes", "quality")
	has(row["latency_ms"], "mean", "stddev", "min", "p50", "p90", "p95", "p99", "max")
	has(row["quality"], "metric", "value", "samples")
	has(three["comparisons"].([]any)[0], "base", "other", "speedup", "low", "high")
	empty := decode(&Bench{})
	for _, name := range []string{"models", "comparisons"} {
		if v, ok := empty[name].([]any); !ok || len(v) != 0 {
			t.Errorf("%s is %v, not an empty list", name, empty[name])
		}
	}
}

// TestCSV reads the table back: names as they are, figures to the last digit, and
// nothing for what was not measured.
func TestCSV(t *testing.T) {
	for name, b := range benchSamples() {
		var w bytes.Buffer
		if err := b.CSV(&w); err != nil {
			t.Fatal(err)
		}
		lines, err := csv.NewReader(&w).ReadAll()
		if err != nil || len(lines) != len(b.Models)+1 {
			t.Fatalf("%s: %d lines: %v", name, len(lines), err)
		}
		at := map[string]int{}
		for i, c := range lines[0] {
			if _, twice := at[c]; twice || c == "" {
				t.Errorf("column %q is there twice, or has no name", c)
			}
			at[c] = i
		}
		for i, m := range b.Models {
			line := lines[i+1]
			if line[at["model"]] != m.Name || line[at["path"]] != m.Path {
				t.Errorf("%s: model %q is %q", name, m.Name, line[at["model"]])
			}
			p50 := line[at["p50_ms"]]
			switch {
			case m.Latency == nil || math.IsNaN(m.Latency.P50):
				if p50 != "" {
					t.Errorf("%s: p50 of %q, which was not measured, is %q", name, m.Name, p50)
				}
			default:
				if v, err := strconv.ParseFloat(p50, 64); err != nil || v != m.Latency.P50 {
					t.Errorf("%s: p50 is %q, not %v: %v", name, p50, m.Latency.P50, err)
				}
			}
			for _, c := range line {
				if c == "NaN" || strings.Contains(c, "Inf") {
					t.Errorf("%s: a cell is %q", name, c)
				}
			}
		}
	}
}

func TestRawTimes(t *testing.T) {
	b := benchSamples()["bench-hostile"]
	var w bytes.Buffer
	if err := b.RawTimes(&w); err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(&w).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"model", "provider", "batch", "concurrency", "launch", "block", "stream", "ms"}; !slices.Equal(lines[0], want) {
		t.Errorf("columns %q", lines[0])
	}
	k := 1
	for _, m := range b.Models {
		for _, s := range m.Samples {
			want := []string{m.Name, "cpu", "1", "1", fmt.Sprint(s.Launch), fmt.Sprint(s.Block), fmt.Sprint(s.Stream), csvFloat(s.MS)}
			if !slices.Equal(lines[k], want) {
				t.Fatalf("line %d is %q, want %q", k, lines[k], want)
			}
			k++
		}
	}
	if k != len(lines) {
		t.Errorf("%d lines, not %d", len(lines), k)
	}
}

// TestPageIsSafe parses the page: it has no script and fetches nothing, whatever names
// contain, and shows every name in full.
func TestPageIsSafe(t *testing.T) {
	for name, b := range benchSamples() {
		var w bytes.Buffer
		if err := b.HTML(&w); err != nil {
			t.Fatal(err)
		}
		page := strings.TrimPrefix(w.String(), "<!DOCTYPE html>\n")
		d := xml.NewDecoder(strings.NewReader(page))
		d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
		var text strings.Builder
		for {
			token, err := d.Token()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			switch e := token.(type) {
			case xml.CharData:
				text.Write(e)
			case xml.StartElement:
				checkElement(t, name, e)
			}
		}
		for _, m := range b.Models {
			if !strings.Contains(text.String(), clean(m.Name)) {
				t.Errorf("%s: the page does not show %q", name, m.Name)
			}
		}
	}
}

func checkElement(t *testing.T, name string, e xml.StartElement) {
	t.Helper()
	switch e.Name.Local {
	case "script", "img", "link", "iframe", "object", "base", "image", "use":
		t.Errorf("%s: the page has an element %q", name, e.Name.Local)
	}
	for _, a := range e.Attr {
		local := strings.ToLower(a.Name.Local)
		if local == "src" || local == "href" || strings.HasPrefix(local, "on") || strings.Contains(a.Value, "url(") {
			t.Errorf("%s: <%s> has %s=%q", name, e.Name.Local, a.Name.Local, a.Value)
		}
	}
}
