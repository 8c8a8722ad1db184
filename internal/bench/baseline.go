package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"optim/internal/measure"
)

// Baseline is an earlier result to compare with.
type Baseline struct {
	File string
	Result
}

// BaselineError says why a file is no baseline for this run.
type BaselineError struct {
	File string
	Why  string
}

// Error names the file and the reason.
func (e *BaselineError) Error() string { return fmt.Sprintf("baseline %q: %s", e.File, e.Why) }

// mostBaseline bounds the size of a baseline file.
const mostBaseline = 64 << 20

// Times of a run that are believed, in milliseconds: a nanosecond to eleven days. Ratios
// of others might be no numbers.
const shortest, longest = 1e-6, 1e9

// ReadBaseline reads the JSON that an earlier run printed.
func ReadBaseline(file string) (*Baseline, error) {
	// Before it is opened: to open a pipe is to wait for who writes to it.
	if info, err := os.Stat(file); err == nil && !info.Mode().IsRegular() {
		return nil, &BaselineError{file, "it is no regular file"}
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, mostBaseline+1))
	if err != nil {
		return nil, err
	}
	if len(text) > mostBaseline {
		return nil, &BaselineError{file, fmt.Sprintf("it is larger than %d bytes", mostBaseline)}
	}
	b, err := parseBaseline(text)
	if err != nil {
		return nil, &BaselineError{file, err.Error()}
	}
	b.File = file
	return b, nil
}

func parseBaseline(text []byte) (*Baseline, error) {
	var read struct {
		Command string `json:"command"`
		Result
	}
	if err := json.Unmarshal(text, &read); err != nil {
		return nil, fmt.Errorf("no JSON of \"optim bench --json\": %w", err)
	}
	if read.Command != "bench" {
		return nil, fmt.Errorf("it is of command %q, not of \"bench\"", read.Command)
	}
	for _, r := range read.Models {
		for _, ms := range slices.Concat(r.Launches, r.PerItem) {
			if !(ms >= shortest && ms <= longest) {
				return nil, fmt.Errorf("model %q: a time of %v ms", r.Name, ms)
			}
		}
	}
	if !slices.ContainsFunc(read.Models, func(r Row) bool { return len(r.Launches) > 1 }) {
		return nil, errors.New("it has no model that was measured in two processes or more, so that no interval can be given")
	}
	return &Baseline{Result: read.Result}, nil
}

// sameMachine returns why figures of the two environments cannot be compared.
func sameMachine(was, is Environment) error {
	var differ []string
	note := func(what string, was, is any) {
		if a, b := fmt.Sprint(was), fmt.Sprint(is); a != b {
			differ = append(differ, fmt.Sprintf("%s %s, here %s", what, a, b))
		}
	}
	note("system", was.OS+"/"+was.Arch, is.OS+"/"+is.Arch)
	note("processor", was.CPU.Model, is.CPU.Model)
	note("processors", was.CPU.Threads, is.CPU.Threads)
	note("instruction sets", strings.Join(was.CPU.Features, " "), strings.Join(is.CPU.Features, " "))
	note("limit of processors", limitOf(was), limitOf(is))
	note("threads", was.Threads, is.Threads)
	note("settings", was.Settings, is.Settings)
	if is.ORT != "" {
		note("ONNX Runtime", was.ORT, is.ORT)
	}
	if len(differ) > 0 {
		return fmt.Errorf("it was measured under other conditions: %s", strings.Join(differ, "; "))
	}
	return nil
}

func limitOf(e Environment) string {
	if e.Container == nil || e.Container.CPUs == nil {
		return "none"
	}
	return fmt.Sprint(*e.Container.CPUs)
}

// checkBaseline refuses a baseline of another machine, or of another work, as early
// as that can be told.
func (b *bench) checkBaseline() error {
	base := b.Baseline
	if base == nil {
		return nil
	}
	why := sameMachine(base.Environment, b.result.Environment)
	switch {
	case why != nil:
	case base.Scenario != b.result.Scenario:
		why = fmt.Errorf("its scenario is %q, here %q", base.Scenario, b.result.Scenario)
	case b.result.Workload.Inputs != nil && !maps.Equal(b.fixedInputs(base.Workload), b.fixedInputs(b.result.Workload)):
		why = fmt.Errorf("its inputs were %s, here %s", listInputs(base.Workload), listInputs(b.result.Workload))
	}
	if why != nil {
		return &BaselineError{base.File, why.Error()}
	}
	return nil
}

func listInputs(w Workload) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(w.Inputs)) {
		out = append(out, name+" "+w.Inputs[name])
	}
	return strings.Join(out, ", ")
}

// fixedInputs returns the inputs as far as they have to be the same: a sweep chooses
// the batch, their first axis.
func (b *bench) fixedInputs(w Workload) map[string]string {
	if b.result.Scenario != Offline {
		return w.Inputs
	}
	out := map[string]string{}
	for name, text := range w.Inputs {
		kind, dims, _ := strings.Cut(text, "[")
		_, sample, _ := strings.Cut(dims, " x ")
		out[name] = kind + "[" + sample
	}
	return out
}

// compareBaseline compares each row with the one of the baseline that has its name
// and setting, or is the only one where there is but one on both sides. Of a sweep
// the best settings are compared, whichever they are.
func (b *bench) compareBaseline() error {
	base := b.Baseline
	if base == nil || len(b.result.Models) == 0 {
		return nil
	}
	b.result.Baseline, b.result.Comparisons = base.File, []Comparison{}
	alone := len(base.Models) == 1 && len(b.result.Models) == 1
	for _, r := range b.result.Models {
		same := func(o Row) bool {
			return o.Provider == r.Provider && (alone || o.Name == r.Name) && (base.Scenario == Offline || o.sameSetting(r))
		}
		i := slices.IndexFunc(base.Models, same)
		if i < 0 {
			b.warn(fmt.Sprintf("the baseline has no %q with batch %d and %d streams", r.Name, r.Batch, r.Concurrency))
			continue
		}
		if base.Models[i].Name != r.Name {
			b.warn(fmt.Sprintf("%s is compared with %s, the one model of the baseline", r.Name, base.Models[i].Name))
		}
		was, is := base.Models[i].Launches, r.Launches
		if base.Scenario == Offline {
			was, is = base.Models[i].PerItem, r.PerItem
		}
		if len(was) < 2 || len(is) < 2 {
			b.warn("too few processes for a comparison with the baseline")
			continue
		}
		c := Comparison{Base: base.Models[i].Name, Other: r.Name, Batch: r.Batch, Streams: r.Concurrency}
		c.Speedup, c.Low, c.High = measure.GeometricRatio(was, is)
		c.Differs = c.Low > 1 || c.High < 1
		b.result.Comparisons = append(b.result.Comparisons, c)
	}
	if len(b.result.Comparisons) == 0 {
		return &BaselineError{base.File, "it has none of the models and settings that were measured"}
	}
	return nil
}

func (r Row) sameSetting(o Row) bool {
	return r.Batch == o.Batch && r.Concurrency == o.Concurrency && r.By == o.By
}
