package report

import (
	"fmt"
	"strings"
)

// trainingFacts adds how the result was trained.
func (t *Transform) trainingFacts(f *facts) {
	for _, s := range t.Students {
		name := "student"
		if len(t.Students) > 1 {
			name = fmt.Sprintf("stage %d", s.Stage)
		}
		line := fmt.Sprintf("%s → %s parameters, %s×", formatCount(s.Teacher), formatCount(s.Parameters), significant(s.Ratio, 3))
		if s.Quality != nil && t.Quality != nil {
			line += fmt.Sprintf(", %s %s", t.Quality.Metric, significant(*s.Quality, 4))
		}
		f.add(name, "%s", line)
		if len(s.Layers) > 0 {
			f.more([]string{fmt.Sprintf("layers kept: %s", strings.Trim(fmt.Sprint(s.Layers), "[]"))})
		}
		f.more(s.Divided)
	}
	n := len(t.Epochs)
	if n == 0 {
		return
	}
	first, last := t.Epochs[0], t.Epochs[n-1]
	seconds := 0.0
	for _, e := range t.Epochs {
		seconds += e.Seconds
	}
	f.add("training", "%s in %s s, loss %s → %s", plural(n, "epoch"), significant(seconds, 3), significant(first.Total, 4), significant(last.Total, 4))
	for _, p := range last.parts() {
		if p.value != nil {
			f.more([]string{fmt.Sprintf("%s %s", p.name, significant(*p.value, 4))})
		}
	}
}

type part struct {
	name  string
	value *float64
}

func (e Epoch) parts() []part {
	return []part{{"distillation", e.KD}, {"task", e.Task}, {"attention", e.Attention}, {"hidden", e.Hidden}}
}

// epochGrid has a row for each epoch, and a column for each part of the loss.
func epochGrid(list []Epoch) *grid {
	g := &grid{head: []string{">stage", ">epoch", ">loss", ">distillation", ">task", ">attention", ">hidden", ">metric", ">seconds"}}
	at := 0
	for i, e := range list {
		if i > 0 && e.Stage != list[i-1].Stage {
			at = i
		}
		row := []string{fmt.Sprint(max(e.Stage, 1)), fmt.Sprint(i - at + 1), significant(e.Total, 5)}
		for _, v := range append(e.parts(), part{value: e.Metric}) {
			cell := ""
			if v.value != nil {
				cell = significant(*v.value, 5)
			}
			row = append(row, cell)
		}
		g.add(append(row, significant(e.Seconds, 3))...)
	}
	return g
}
