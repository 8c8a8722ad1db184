package report

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"optim/internal/bench"
)

// facts are the machine, its state and the workload.
func (b *Bench) facts(all bool) *facts {
	f := &facts{}
	e := &b.Environment
	f.add("machine", "%s", b.machine())
	if all {
		f.add("features", "%s", join(e.CPU.Features))
		if e.Memory > 0 {
			f.add("memory", "%s", formatBytes(e.Memory))
		}
		f.add("system", "%s", strings.Trim(e.OS+"/"+e.Arch, "/"))
		f.add("governor", "%s", e.Governor)
		if e.Load != nil {
			f.add("load", "%s over the last minute", strconv.FormatFloat(*e.Load, 'f', 2, 64))
		}
	}
	if c := e.Container; c != nil {
		var limits []string
		if c.CPUs != nil {
			limits = append(limits, strconv.FormatFloat(*c.CPUs, 'g', 4, 64)+" processors")
		}
		if c.Memory != nil {
			limits = append(limits, formatBytes(*c.Memory)+" of memory")
		}
		f.add("limits", "%s", join(limits))
	}
	f.add("runtime", "%s", b.runtime())
	f.add("data", "%s", b.data(all))
	if all {
		f.files(b.Models)
	}
	f.add("runs", "%s", b.runLine())
	f.add("setting", "%s", b.setting())
	if all {
		if e.ClockNS > 0 {
			f.add("clock", "%s ns a reading: all that a measured run holds beside the runtime's call", significant(e.ClockNS, 3))
		}
		var options []string
		for _, name := range slices.Sorted(maps.Keys(e.Settings)) {
			options = append(options, name+" "+e.Settings[name])
		}
		f.add("options", "%s", join(options))
		f.add("optim", "%s", e.Optim)
	}
	f.add("settings", "%s", b.Config)
	return f
}

// files adds the path of each model.
func (f *facts) files(rows []bench.Row) {
	seen := map[string]bool{}
	for _, m := range rows {
		label := ""
		if len(seen) == 0 {
			label = "models"
		}
		if !seen[m.Path] {
			f.add(label, "%s", m.Path)
		}
		seen[m.Path] = true
	}
}

func (b *Bench) machine() string {
	c := &b.Environment.CPU
	if c.Model == "" {
		return ""
	}
	return fmt.Sprintf("%s, %s, %s", c.Model, plural(c.Cores, "core"), plural(c.Threads, "thread"))
}

func (b *Bench) runtime() string {
	e := &b.Environment
	if e.ORT == "" {
		return ""
	}
	parts := []string{"ONNX Runtime " + e.ORT}
	for _, m := range b.Models {
		if m.Provider != "" && !slices.Contains(parts, m.Provider) {
			parts = append(parts, m.Provider)
		}
	}
	if e.Threads > 0 {
		parts = append(parts, plural(e.Threads, "thread"))
	}
	return join(parts)
}

// data says what the models were run on.
func (b *Bench) data(all bool) string {
	w := &b.Workload
	parts := []string{w.From}
	if w.From == "" {
		parts[0] = w.Source
	}
	if w.Samples > 0 {
		parts = append(parts, plural(w.Samples, "sample"))
	}
	if l := w.Lengths; l != nil && l.Min == l.Max {
		parts = append(parts, formatCount(int64(l.Min))+" ids each")
	} else if l != nil {
		parts = append(parts, fmt.Sprintf("%s to %s ids, median %s", formatCount(int64(l.Min)), formatCount(int64(l.Max)), figure(&l.Median, 3)))
	}
	names := slices.Sorted(maps.Keys(w.Inputs))
	if !all && len(names) > inputsShown {
		parts = append(parts, plural(len(names), "input"))
		names = nil
	}
	for _, n := range names {
		parts = append(parts, n+" "+w.Inputs[n])
	}
	return join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }))
}

// inputsShown is how many inputs are listed without --verbose.
const inputsShown = 3

// runLine says how often the models were run.
func (b *Bench) runLine() string {
	lo, hi := b.runRange()
	if hi == 0 {
		return ""
	}
	line, each := formatCount(int64(hi)), ""
	if lo < hi {
		line = formatCount(int64(lo)) + " to " + line
	}
	if len(b.Models) > 1 {
		line, each = line+" of each model", " each"
	}
	switch n := b.Environment.Restarts; {
	case n == 1:
		line += ", in 1 process" + each
	case n > 1:
		line += fmt.Sprintf(", in %d processes%s", n, each)
	}
	return line
}

// runRange returns the fewest and the most runs of a row; 0 without rows.
func (b *Bench) runRange() (lo, hi int) {
	for i, m := range b.Models {
		if i == 0 {
			lo = m.Runs
		}
		lo, hi = min(lo, m.Runs), max(hi, m.Runs)
	}
	return lo, hi
}

// setting is what is the same for all rows.
func (b *Bench) setting() string {
	if len(b.Models) == 0 {
		return ""
	}
	varies := map[string]bool{}
	for _, k := range b.keys() {
		varies[k.head] = true
	}
	var parts []string
	m := &b.Models[0]
	if m.Batch > 0 && !varies[">batch"] {
		parts = append(parts, "batch "+formatCount(int64(m.Batch)))
	}
	if m.Concurrency > 0 && !varies[">streams"] {
		streams := plural(m.Concurrency, "stream")
		if m.By != "" && m.Concurrency > 1 {
			streams += " by " + m.By
		}
		parts = append(parts, streams)
	}
	return join(parts)
}
