package plot

import (
	"fmt"
	"slices"
	"strings"

	"optim/internal/bench"
)

// item is a row of the result with its look.
type item struct {
	*bench.Row
	name    string // of the model
	setting string // that tells the rows of a model apart; empty where there is but one
	label   string // of the row
	look    look
}

// items returns the rows with labels that tell them apart: the model's name
// and, where models were run with several, batch, streams ("8 × 2" for both) and
// provider. For PNG, labels are what its font can show.
func items(r *bench.Result, format string) []item {
	varies := func(of func(*bench.Row) string) bool {
		for i := range r.Models {
			if of(&r.Models[i]) != of(&r.Models[0]) {
				return true
			}
		}
		return false
	}
	batch := func(m *bench.Row) string { return fmt.Sprintf("batch %d", m.Batch) }
	streams := func(m *bench.Row) string { return plural(m.Concurrency, "stream") }
	var parts []func(*bench.Row) string
	if hasBoth(r) {
		parts = append(parts, func(m *bench.Row) string { return fmt.Sprintf("%d × %d", m.Batch, m.Concurrency) })
	} else {
		parts = append(parts, batch, streams)
	}
	parts = slices.DeleteFunc(append(parts, func(m *bench.Row) string { return m.Provider }),
		func(part func(*bench.Row) string) bool { return !varies(part) })
	model, settings := map[string]int{}, map[string]int{}
	out := make([]item, len(r.Models))
	for i := range r.Models {
		m := &r.Models[i]
		if _, ok := model[m.Name]; !ok {
			model[m.Name] = len(model)
		}
		show := printable
		if format == PNG {
			show = func(s string) string { return drawn(plain(labelSize), printable(s)) }
		}
		label := []string{m.Name}
		for _, part := range parts {
			label = append(label, part(m))
		}
		setting := strings.Join(label[1:], ", ")
		if _, ok := settings[setting]; !ok {
			settings[setting] = len(settings)
		}
		look := newLook(model[m.Name], settings[setting], len(parts) > 0)
		out[i] = item{m, show(m.Name), show(setting), show(strings.Join(label, ", ")), look}
	}
	return out
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// smallPrint says where and how the figures were measured.
func smallPrint(r *bench.Result, more ...string) string {
	e := &r.Environment
	var parts []string
	add := func(given bool, format string, args ...any) {
		if given {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	add(r.Interrupted, "interrupted: part of the figures")
	add(e.CPU.Model != "", "%s", e.CPU.Model)
	add(e.Threads > 0, "%s", plural(e.Threads, "thread"))
	runtime := "ONNX Runtime " + e.ORT
	if len(r.Models) > 0 && r.Models[0].Provider != "" {
		runtime += " (" + r.Models[0].Provider + ")"
	}
	add(e.ORT != "", "%s", runtime)
	if len(r.Models) > 0 && r.Scenario != bench.Server && r.Scenario != bench.Decode {
		batch := between(r, func(m *bench.Row) int { return m.Batch })
		runs := between(r, func(m *bench.Row) int { return m.Runs })
		add(batch != "0", "batch %s", batch)
		add(hasBoth(r), "labels: batch × streams")
		add(runs == "1", "1 run")
		add(runs != "0" && runs != "1", "%s runs", runs)
	}
	return strings.Join(append(parts, more...), " · ")
}

// between returns the least and the largest of a number of the rows: "8", "1–8".
func between(r *bench.Result, of func(*bench.Row) int) string {
	lo, hi := of(&r.Models[0]), of(&r.Models[0])
	for i := range r.Models {
		lo, hi = min(lo, of(&r.Models[i])), max(hi, of(&r.Models[i]))
	}
	if lo == hi {
		return fmt.Sprint(lo)
	}
	return fmt.Sprintf("%d–%d", lo, hi)
}

// hasBoth reports whether labels have batch and streams.
func hasBoth(r *bench.Result) bool {
	batch, streams := map[int]bool{}, map[int]bool{}
	for _, m := range r.Models {
		batch[m.Batch], streams[m.Concurrency] = true, true
	}
	return len(batch) > 1 && len(streams) > 1
}
