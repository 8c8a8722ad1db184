package bench

import (
	"fmt"
	"slices"
	"time"
)

// latency measures all settings, the models in turn.
func (b *bench) latency() error {
	settings := b.settings()
	for i, s := range settings {
		tracks := make([]*track, len(b.models))
		for k, m := range b.models {
			tracks[k] = &track{model: m, setting: s}
		}
		err := b.measure(tracks, i, len(settings))
		b.finish(tracks, (*track).medians)
		if err != nil {
			return err
		}
	}
	return nil
}

// finish adds the rows of tracks that were measured, and compares them by what
// each of their processes found.
func (b *bench) finish(tracks []*track, by func(*track) []float64) {
	for _, t := range tracks {
		if len(t.launches) > 0 {
			b.result.Models = append(b.result.Models, t.finish())
		}
	}
	b.compareTracks(tracks, by)
}

// restarts is how many processes each model gets.
func (b *bench) restarts() int {
	n := b.Restarts
	if n == 0 {
		n = DefaultRestarts
	}
	if b.Runs > 0 {
		n = min(n, b.Runs)
	}
	return n
}

// measure measures tracks. Each restart starts a process for every one, warms it
// up, and lets them take turns. index and of say which part of the whole this is.
func (b *bench) measure(tracks []*track, index, of int) error {
	restarts := b.restarts()
	for r := range restarts {
		order := slices.Clone(tracks)
		if r%2 == 1 {
			slices.Reverse(order)
		}
		b.progress("timing", int64(index*restarts+r), int64(of*restarts))
		if err := b.restart(order, share(b.Runs, restarts, r), restarts); err != nil {
			return err
		}
	}
	b.result.Environment.Restarts = restarts
	return nil
}

// turn is a track's worker in one restart.
type turn struct {
	*track
	worker *child
	launch launch
	runs   int // of each stream
}

// blocksPerLaunch is how many turns a model has in a process: A B B A A B B A.
const blocksPerLaunch = 4

// restart measures every track in a new process each.
func (b *bench) restart(order []*track, runs, restarts int) (err error) {
	var turns []*turn
	defer func() {
		for _, t := range turns {
			t.worker.close()
			if len(t.launch.samples) > 0 {
				t.launches = append(t.launches, t.launch)
			}
		}
	}()
	for _, t := range order {
		u, err := b.begin(t, runs, restarts)
		if err != nil {
			return err
		}
		turns = append(turns, u)
	}
	equalize(turns)
	for i := range blocksPerLaunch {
		for k := range turns {
			if i%2 == 1 {
				k = len(turns) - 1 - k
			}
			if err := b.block(turns[k], i); err != nil {
				return err
			}
		}
	}
	for _, t := range turns {
		if err := b.remember(&t.row, t.worker); err != nil {
			return err
		}
	}
	return nil
}

// remember asks a worker for its memory.
func (b *bench) remember(r *Row, w *child) error {
	a, err := w.ask(b.ctx, request{Memory: true})
	if err != nil {
		return fmt.Errorf("%s: %w", r.Path, err)
	}
	r.PeakRSS, r.SteadyRSS = max(r.PeakRSS, a.Memory.Peak), max(r.SteadyRSS, a.Memory.RSS)
	return nil
}

const (
	warmupBound = time.Second            // the longest that a process is warmed up for
	briefWarmup = 300 * time.Millisecond // the same with Options.Brief
)

// begin starts a process for a track and warms it up.
func (b *bench) begin(t *track, runs, restarts int) (*turn, error) {
	w, o, err := b.open(t.model)
	if err != nil {
		return nil, err
	}
	u := &turn{track: t, worker: w, launch: launch{load: o.LoadMS, first: o.FirstMS}}
	if err := b.prepare(u, o, runs, restarts); err != nil {
		w.close()
		return nil, t.blame(err)
	}
	return u, nil
}

func (b *bench) prepare(u *turn, o *opened, runs, restarts int) error {
	u.setting = settled(u.setting, o)
	a, err := u.worker.ask(b.ctx, request{Bind: &u.setting})
	if err != nil {
		return err
	}
	if u.row.Path == "" {
		u.row = b.row(u.model, u.setting)
		u.row.BaseRSS = o.BaseRSS
		u.perRun, u.tokens, u.uniform = a.Bound.Items, a.Bound.Tokens, a.Bound.Shapes != nil
		b.take(&u.row, u.model, a.Bound)
		if err := b.checkBaseline(); err != nil {
			return err
		}
	}
	bound := warmupBound
	if b.Brief {
		bound = briefWarmup
	}
	warm, err := u.worker.ask(b.ctx, request{Warm: &warmRequest{b.Warmup, bound}})
	if err != nil {
		return err
	}
	u.row.Warmup += warm.Warmed.Runs
	if b.Warmup < 0 && u.uniform {
		steady := warm.Warmed.Steady && (u.row.Steady == nil || *u.row.Steady)
		u.row.Steady = &steady
		if !steady && !b.Brief {
			b.warn(fmt.Sprintf("%s: times had not settled after a warm-up of %s", u.name, bound))
		}
	}
	u.runs = b.plan(warm.Warmed.Estimate, runs, restarts, len(a.Bound.Items), u.setting.Concurrency)
	return nil
}

// block measures one turn of a worker.
func (b *bench) block(t *turn, i int) error {
	runs := share(t.runs, blocksPerLaunch, i)
	if runs == 0 {
		return nil
	}
	a, err := t.worker.ask(b.ctx, request{Block: &blockRequest{Runs: runs}})
	if a.Block != nil {
		t.add(a.Block, i)
	}
	if err != nil {
		return t.blame(err)
	}
	return nil
}
