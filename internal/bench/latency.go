package bench

import (
	"fmt"
	"math"
	"slices"
	"time"

	"optim/internal/measure"
)

// track gathers what the workers of one row measured.
type track struct {
	*model
	row      Row
	setting  Setting
	perRun   []int // samples in a run, by batch of the pool
	tokens   []int
	launches []launch
}

// launch is what one process measured.
type launch struct {
	samples     []Sample
	wall        time.Duration
	items, ids  int // that its runs took
	load, first float64
}

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

// share returns the part of n runs that the i-th of k processes makes.
func share(n, k, i int) int { return n*(i+1)/k - n*i/k }

// turn is a track's worker in one restart.
type turn struct {
	*track
	worker *child
	launch launch
	blocks []int // runs of each block
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

// warmupBound is the longest that a process is warmed up for.
const warmupBound = time.Second

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
	u.setting = u.setting.settle(o)
	a, err := u.worker.ask(b.ctx, request{Bind: &u.setting})
	if err != nil {
		return err
	}
	if u.row.Path == "" {
		u.row = b.row(u.model, u.setting)
		u.row.BaseRSS = o.BaseRSS
		u.row.Steady = true
		u.perRun, u.tokens = a.Bound.Items, a.Bound.Tokens
		b.take(&u.row, u.model, a.Bound)
		if err := b.checkBaseline(); err != nil {
			return err
		}
	}
	warm, err := u.worker.ask(b.ctx, request{Warm: &warmRequest{b.Warmup, warmupBound}})
	if err != nil {
		return err
	}
	u.row.Warmup += warm.Warmed.Runs
	if !warm.Warmed.Steady && b.Warmup < 0 {
		u.row.Steady = false
		b.warn(fmt.Sprintf("%s: times had not settled after a warm-up of %s", u.name, warmupBound))
	}
	u.blocks = b.plan(warm.Warmed.Estimate, runs, restarts, len(a.Bound.Items), u.setting.Concurrency)
	return nil
}

// MostRuns bounds the runs of a row, whose times are all kept.
const MostRuns = 2 << 20

// plan returns the runs of each block of a process, on each of its streams, for runs
// of about the given length. Whole turns of the pool are made where they fit.
func (b *bench) plan(estimate time.Duration, runs, restarts, pool, streams int) []int {
	if b.Runs == 0 {
		duration := b.Duration
		if duration == 0 {
			duration = DefaultDuration
			runs = (DefaultRuns + restarts - 1) / restarts
		}
		runs = max(runs, int(duration/time.Duration(restarts)/max(estimate, time.Microsecond/4)), 1)
		if most := max(MostRuns/restarts/streams, 1); runs > most {
			runs = most
			b.warn(fmt.Sprintf("no more than %d runs of a model are made", MostRuns))
		}
		if perBlock := runs / blocksPerLaunch; perBlock > pool {
			runs = (perBlock + pool - 1) / pool * pool * blocksPerLaunch
		}
	}
	blocks := make([]int, blocksPerLaunch)
	for i := range blocks {
		blocks[i] = share(runs, blocksPerLaunch, i)
	}
	return blocks
}

// block measures one turn of a worker.
func (b *bench) block(t *turn, i int) error {
	if t.blocks[i] == 0 {
		return nil
	}
	a, err := t.worker.ask(b.ctx, request{Block: &blockRequest{Runs: t.blocks[i]}})
	if a.Block != nil {
		t.add(a.Block, i)
	}
	if err != nil {
		return t.blame(err)
	}
	return nil
}

// add takes over the runs of a block.
func (t *turn) add(b *block, index int) {
	for stream, list := range b.Streams {
		for k, ns := range list {
			at := (b.First[stream] + k) % len(t.perRun)
			t.launch.samples = append(t.launch.samples, Sample{len(t.launches), index, stream, float64(ns) / 1e6})
			t.launch.items += t.perRun[at]
			t.launch.ids += t.tokens[at]
		}
	}
	t.launch.wall += time.Duration(b.Wall)
}

// finish sums up what was measured.
func (t *track) finish() Row {
	r := t.row
	var load, first []float64
	var wall time.Duration
	items, ids := 0, 0
	for _, l := range t.launches {
		r.Samples = append(r.Samples, l.samples...)
		load, first = append(load, l.load), append(first, l.first)
		wall += l.wall
		items += l.items
		ids += l.ids
	}
	r.Runs, r.Launches = len(r.Samples), t.medians()
	r.Latency = times(milliseconds(r.Samples), r.Launches)
	if s := wall.Seconds(); s > 0 {
		r.Throughput = ptr(float64(items) / s)
		if ids > 0 {
			r.Tokens = ptr(float64(ids) / s)
		}
	}
	if took := r.runTime().Seconds(); r.MACs != nil && took > 0 {
		r.GFLOPS = ptr(2 * float64(*r.MACs) / took / 1e9)
	}
	c := Cold{Load: measure.Median(load), First: measure.Median(first)}
	c.Total = c.Load + c.First
	r.Cold = &c
	return r
}

// perItem returns what a sample took in each process, in milliseconds.
func (t *track) perItem() []float64 {
	out := make([]float64, len(t.launches))
	for i, l := range t.launches {
		out[i] = ms(l.wall) / float64(l.items)
	}
	return out
}

// medians returns the median of each process, in milliseconds.
func (t *track) medians() []float64 {
	out := make([]float64, len(t.launches))
	for i, l := range t.launches {
		out[i] = measure.Median(milliseconds(l.samples))
	}
	return out
}

func milliseconds(samples []Sample) []float64 {
	out := make([]float64, len(samples))
	for i, s := range samples {
		out[i] = s.MS
	}
	return out
}

// times describes runs; the interval of their median is that of the launches'.
func times(all, launches []float64) *Times {
	s := measure.Summarize(all)
	t := &Times{Mean: s.Mean, StdDev: s.StdDev, Min: s.Min, P50: s.Median, P90: s.P90, P95: s.P95, P99: s.P99, Max: s.Max}
	if len(launches) > 1 {
		_, low, high := measure.GeometricMean(launches)
		// The interval is of the launches' mean; it is told around the median of
		// all runs.
		mid := math.Sqrt(low * high)
		t.Low, t.High = ptr(t.P50*low/mid), ptr(t.P50*high/mid)
	}
	return t
}

func ptr[T any](v T) *T { return &v }
