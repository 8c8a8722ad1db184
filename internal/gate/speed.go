package gate

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"optim/internal/dataset"
	"optim/internal/measure"
	"optim/internal/ort"
	"optim/internal/tensor"
	"optim/internal/workload"
)

const (
	// speedBudget bounds the comparison that is made without being asked for.
	speedBudget = 2 * time.Second
	// speedPrecision is the half width of the interval, as a share of the
	// speed-up, that is good enough to stop earlier.
	speedPrecision = 0.02
	// slowRun is the time of a run from which on it can be interrupted, which
	// costs some microseconds.
	slowRun = 20 * time.Millisecond
)

// prove measures quality and speed as far as they are wanted. The sessions of
// light models are opened once for both; those of heavy ones are mapped for
// quality, and loaded as users do for a speed that was asked for.
func (r *run) prove() error {
	quality, speed := r.Eval.Source != "", r.wantsSpeed()
	if r.heavy() {
		if quality {
			if err := r.pair(r.openMapped, r.quality); err != nil {
				return err
			}
		}
		quality = false
	}
	if !quality && !speed {
		return nil
	}
	return r.pair(r.openLoaded, func(source, result *ort.Session) error {
		if quality {
			if err := r.quality(source, result); err != nil {
				return err
			}
		}
		if !speed {
			return nil
		}
		return r.speed(source, result)
	})
}

// wantsSpeed tells whether to time, and misses a limit that cannot be timed.
func (r *run) wantsSpeed() bool {
	if r.inputs == nil {
		if r.MinSpeedup > 0 {
			r.miss("speed", "give --dim or --shape", "it cannot be measured, as the source ran with none of the inputs that were tried")
		}
		return false
	}
	return r.times()
}

// times tells whether the speed is to be measured where that is possible.
func (r *run) times() bool {
	return r.MinSpeedup > 0 || r.Measure == "on" || r.Measure != "off" && !r.heavy()
}

// sizes lists the shapes of the inputs that are timed, each once.
func (r *run) sizes(s *ort.Session) []string {
	var out []string
	for _, in := range s.Inputs() {
		parts := make([]string, len(r.inputs.Inputs[in.Name].Shape))
		for i, d := range r.inputs.Inputs[in.Name].Shape {
			parts[i] = strconv.FormatInt(d, 10)
		}
		if size := strings.Join(parts, " x "); size != "" && !slices.Contains(out, size) {
			out = append(out, size)
		}
	}
	return out
}

// speed times source and result in turn.
func (r *run) speed(source, result *ort.Session) error {
	r.progress("timing", 0, 0)
	a, stop, err := r.runner(source, r.inputs.Outputs)
	if err != nil {
		return err
	}
	defer stop()
	b, stop, err := r.runner(result, r.after)
	if err != nil {
		return err
	}
	defer stop()
	o := measure.Options{Budget: speedBudget, Precision: speedPrecision}
	if r.MinSpeedup > 0 {
		o.Budget, o.Precision = 3*speedBudget, speedPrecision/2
	}
	c, err := measure.Interleave(r.ctx, a, b, o)
	if err != nil {
		return err
	}
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	r.verdict.Speed = &Speed{ms(c.MedianA()), ms(c.MedianB()), c.Speedup, c.Low, c.High, r.sizes(source)}
	r.judgeSpeed()
	return nil
}

// runner returns a function that runs a session once on the input that was
// found. Inputs and outputs are bound, so that copies are not timed.
func (r *run) runner(s *ort.Session, outputs map[string]tensor.Tensor) (f func() error, stop func(), err error) {
	in, err := dataset.Fit(r.inputs.Inputs, s.Inputs())
	if err != nil {
		return nil, nil, err
	}
	b, err := s.Bind(in, workload.Memory(outputs))
	if err != nil {
		return nil, nil, err
	}
	if r.inputs.Took >= slowRun {
		return func() error { return b.RunContext(r.ctx) }, b.Close, nil
	}
	return b.Run, b.Close, nil
}

func (r *run) judgeSpeed() {
	s := r.verdict.Speed
	switch {
	case r.MinSpeedup > 0 && !(s.Low >= r.MinSpeedup):
		r.miss("speed", r.Advice["speed"],
			"the speed-up is %.2f (95 %% interval %.2f to %.2f), and its lower end must reach %.2f", s.Speedup, s.Low, s.High, r.MinSpeedup)
	case s.High < 1:
		r.warnf("the result is slower than the source: %.2f × (95 %% interval %.2f to %.2f)", s.Speedup, s.Low, s.High)
	}
}
