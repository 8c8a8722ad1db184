package plot

import "optim/internal/bench"

// Curve is a line of a diagram of training: a loss at each of some steps.
type Curve struct {
	Name        string
	Steps, Loss []float64
}

// Training draws losses over the steps of a training. Format is PNG or SVG.
func Training(curves []Curve, title, format string) ([]byte, error) {
	r := &bench.Result{}
	for _, c := range curves {
		r.Models = append(r.Models, bench.Row{Name: c.Name})
	}
	l := &lines{heading: title}
	var xs, ys []float64
	for i, m := range items(r, format) {
		s := series{look: m.look, name: curves[i].Name, best: -1}
		for k, x := range curves[i].Steps {
			if y := curves[i].Loss[k]; drawable(y) {
				s.points = append(s.points, point{x, y})
				xs, ys = append(xs, x), append(ys, y)
			}
		}
		if len(s.points) > 0 {
			l.series = append(l.series, s)
		}
	}
	if len(l.series) == 0 {
		return nil, ErrNothing
	}
	l.x, l.y = tightAxis("step", number, xs, 10), newAxis("loss", number, ys, 6)
	return l.render(r, format)
}
