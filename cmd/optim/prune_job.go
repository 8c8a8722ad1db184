package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"optim/internal/calibrate"
	"optim/internal/dataset"
	"optim/internal/gate"
	"optim/internal/inspect"
	"optim/internal/onnx"
	"optim/internal/onnx/fold"
	"optim/internal/onnx/opset"
	"optim/internal/ort"
	"optim/internal/prune"
	"optim/internal/recipe"
	"optim/internal/report"
	"optim/internal/tensor"
)

// errNothingPruned says that a model has nothing of the kind that was named.
var errNothingPruned = errors.New("nothing could be pruned")

// pruneJob holds what one run of prune works on.
type pruneJob struct {
	*app
	start    time.Time
	o        *pruneOptions
	output   string
	rt       *ort.Runtime
	source   *onnx.Model // as it was read
	work     *onnx.Model // is changed
	recipe   recipe.Recipe
	changes  []report.Change
	left     []report.Unchanged
	zeroed   *prune.Zeroed   // nil: nothing was put to zero
	counted  map[string]bool // weights that zeroed has counted
	said     []string
	step     int                  // of --steps, from 1
	sparsity float64              // of the step
	units    map[string]int       // of each group at first, by its name
	scores   map[string][]float32 // of weights, by gradients; nil: by magnitude
	info     dataset.ModelInfo
	folder   string // of checkpoints
}

func (j *pruneJob) close() {
	for _, m := range []*onnx.Model{j.source, j.work} {
		if m != nil {
			m.Close()
		}
	}
	if j.rt != nil {
		j.rt.Close()
	}
}

// open reads the model twice, once to be changed, and checks the target.
func (j *pruneJob) open() (err error) {
	for _, m := range []**onnx.Model{&j.source, &j.work} {
		if *m, err = onnx.Open(j.o.model); err != nil {
			return badInput(err)
		}
	}
	inputs, err := inspect.Files(j.source)
	if err != nil {
		return badInput(err)
	}
	for _, file := range []string{j.o.train.data, j.o.apply, j.o.write.eval, j.o.read.tokenizer, j.configFile, j.ortLib, j.customOps} {
		if file != "" && file != dataset.Random {
			inputs = append(inputs, file)
		}
	}
	if j.o.masks != "" {
		j.output = j.o.masks // held to the same rules as a model
	}
	if err := j.o.write.checkOutput(j.output, inputs...); err != nil {
		return err
	}
	if err := j.checkSummary(append(inputs, j.output, j.output+".data")...); err != nil {
		return err
	}
	if n := inspect.QuantizedNodes(j.source); n > 0 {
		return withHint(badInput(fmt.Errorf("%s: %d of its nodes are integer ones", j.o.model, n)), "prune the float model, and quantize then")
	}
	j.recipe = recipe.New("prune", version)
	if j.recipe.Source, err = j.source.Hash(); err != nil {
		return badInput(err)
	}
	j.recipe.Set("prune", j.o.recipe())
	if data := j.o.train.data; data != "" {
		if j.recipe.Data, err = recipe.Fingerprint(data); err != nil && data != dataset.Random {
			return badInput(fileError(err))
		}
		j.recipe.Set("training", fmt.Sprint(j.o.train.recipe(), " ", j.o.write.seed, j.o.read.seqLen, j.o.read.stride))
	}
	if j.o.apply != "" {
		sum, err := recipe.Fingerprint(j.o.apply)
		if err != nil {
			return badInput(fileError(err))
		}
		j.recipe.Set("masks", sum)
	}
	if j.o.finetune > 0 {
		if j.folder, err = j.o.train.openFolder(j.output, &j.o.write); err != nil {
			return err
		}
	}
	if ext := j.o.write.externalData; ext != "auto" {
		j.recipe.Set("external_data", ext)
	}
	if j.rt, err = j.runtime(); err != nil {
		return err
	}
	if j.info, err = calibrate.Describe(j.rt, j.source, j.sessionOptions()); err != nil {
		return badInput(fmt.Errorf("%s: %w", j.o.model, err))
	}
	return nil
}

// prune changes the model in memory.
func (j *pruneJob) prune(ctx context.Context) (err error) {
	j.changes, j.left = nil, nil
	if j.o.bySensitivity() {
		if err := j.weigh(ctx); err != nil {
			return err
		}
	}
	if j.o.structured || j.o.heads || j.o.layers > 0 {
		err = j.remove(ctx)
	} else {
		err = j.zero(ctx)
	}
	if err != nil {
		return badInput(fmt.Errorf("%s: %w", j.o.model, err))
	}
	return nil
}

// remove takes units out of the graph.
func (j *pruneJob) remove(ctx context.Context) error {
	if _, err := opset.Upgrade(j.work, 13); err != nil {
		return err
	}
	if _, err := fold.Simplify(j.work); err != nil {
		return err
	}
	if err := j.removeLayers(ctx); err != nil {
		return err
	}
	if !j.o.structured && !j.o.heads {
		return nil
	}
	in, other, err := prune.Samples(ctx, j.rt, j.work, j.sessionOptions())
	if err != nil {
		return err
	}
	groups, err := prune.Find(ctx, j.rt, j.work, in, other, j.sessionOptions())
	if err != nil {
		return err
	}
	drop := map[*prune.Group][]int{}
	for _, g := range groups.List {
		units, err := j.choose(groups, g)
		if err != nil {
			return err
		}
		if len(units) > 0 {
			drop[g] = units
		}
	}
	if len(drop) == 0 && j.step < j.o.steps { // a later step takes some
		return nil
	}
	if len(drop) == 0 && len(j.changes) > 0 {
		return nil
	}
	if len(drop) == 0 {
		return fmt.Errorf("%w: no group has units to spare (see --sparsity and --round-to)", errNothingPruned)
	}
	for _, n := range groups.Touched(drop) {
		j.changes = append(j.changes, report.Change{Node: n.Name, Op: n.OpType, Action: "smaller", Format: "float32"})
	}
	for _, w := range sortedKeys(groups.Locked) {
		j.left = append(j.left, report.Unchanged{Node: w, Op: "axis", Reason: groups.Locked[w]})
	}
	return groups.Remove(drop)
}

// choose lists the units of a group that go.
func (j *pruneJob) choose(groups *prune.Groups, g *prune.Group) ([]int, error) {
	kind := groups.KindOf(g)
	if kind == prune.Width || kind == prune.Heads && !j.o.heads || kind == prune.Channels && !j.o.structured {
		return nil, nil
	}
	score, err := j.score(groups, g)
	if err != nil {
		return nil, err
	}
	var units []int
	switch {
	case kind == prune.Channels:
		units = j.lowest(g, score, j.o.roundTo)
	case j.o.headThreshold > 0:
		units = prune.Below(score, j.o.headThreshold)
	default:
		units = j.lowest(g, score, 1)
	}
	what := map[prune.Kind]string{prune.Channels: "channels", prune.Heads: "heads"}[kind]
	j.said = append(j.said, fmt.Sprintf("%s of %q: %d → %d", what, g.Name(), g.Units(), g.Units()-len(units)))
	return units, nil
}

// lowest lists the units of least score for the sparsity of the step, which is one of the
// units that the group had at first.
func (j *pruneJob) lowest(g *prune.Group, score []float64, round int) []int {
	first, ok := j.units[g.Name()]
	if !ok {
		first = g.Units()
		j.units[g.Name()] = first
	}
	return prune.Lowest(score, first, j.sparsity, round)
}

// score weighs the units of a group.
func (j *pruneJob) score(groups *prune.Groups, g *prune.Group) ([]float64, error) {
	switch {
	case j.scores != nil:
		return groups.ScoreBy(g, j.scores), nil
	case j.o.score == "":
		return groups.Score(g, "l2")
	}
	return groups.Score(g, j.o.score)
}

// zero puts weights to zero.
func (j *pruneJob) zero(ctx context.Context) error {
	list := prune.Matrices(j.work.Graph, j.o.embeddings || j.o.apply != "")
	if j.o.apply != "" {
		masks, err := dataset.ReadMasks(j.o.apply, shapesOf(list))
		if err != nil {
			return err
		}
		list = slices.DeleteFunc(list, func(m prune.Matrix) bool { _, ok := masks[m.Tensor.Name]; return !ok })
		prune.Apply(j.work.Graph, masks)
		for i, m := range list {
			list[i].Tensor = j.work.Graph.Initializer(m.Tensor.Name)
		}
	}
	if len(list) == 0 {
		return fmt.Errorf("%w: no constant float32 weight in MatMul, Gemm or Conv", errNothingPruned)
	}
	for i, m := range list {
		list[i].Score = j.scores[m.Tensor.Name]
	}
	if j.o.score == wanda {
		rows, err := j.rows(ctx)
		if err != nil {
			return err
		}
		if err := prune.Wanda(ctx, j.rt, j.work, list, rows, j.sessionOptions()); err != nil {
			return err
		}
	}
	z, err := j.smallest(list)
	if err != nil {
		return err
	}
	j.zeroed, j.counted = &z, map[string]bool{}
	for _, m := range list {
		j.counted[m.Tensor.Name] = true
	}
	for _, m := range list {
		j.changes = append(j.changes, report.Change{Node: m.Node.Name, Op: m.Node.OpType, Action: "zeros", Format: "float32"})
	}
	if j.o.unstructured && z.Threshold > 0 && j.scores == nil {
		j.said = append(j.said, fmt.Sprintf("magnitudes up to %.4g are zero", z.Threshold))
	}
	j.said = append(j.said, "ONNX Runtime is no faster for zeros: they save bytes in compressed files, and time in sparse engines")
	return nil
}

// shapesOf are the shapes of matrices by name.
func shapesOf(list []prune.Matrix) map[string]tensor.Shape {
	out := map[string]tensor.Shape{}
	for _, m := range list {
		out[m.Tensor.Name] = m.Tensor.Shape
	}
	return out
}

// writeMasks writes which weights stay, in place of a model.
func (j *pruneJob) writeMasks(r *report.Transform) error {
	masks, err := prune.Masks(j.work.Graph, prune.Matrices(j.work.Graph, j.o.embeddings))
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(j.output), ".masks-*")
	if err != nil {
		return fileError(err)
	}
	defer os.Remove(f.Name())
	if err := errors.Join(dataset.WriteMasks(f, masks), f.Sync(), f.Chmod(0o644), f.Close()); err != nil {
		return fmt.Errorf("%s: %w", j.output, err)
	}
	info, err := os.Stat(f.Name())
	if err == nil {
		err = os.Rename(f.Name(), j.output)
	}
	if err != nil {
		return fileError(err)
	}
	share := float64(j.zeroed.Zeros) / float64(j.zeroed.Elements)
	r.Sparsity, r.Changes, r.Acceptable, r.Warnings = &share, j.changes, true, j.said
	r.Input = report.File{Path: j.o.model, Parameters: inspect.Parameters(j.source)}
	if r.Input.Bytes, err = inspect.Bytes(j.source); err != nil {
		return badInput(err)
	}
	r.Output = &report.File{Path: j.output, Bytes: info.Size()}
	r.Duration = time.Since(j.start).Seconds()
	return j.emit(r)
}

// smallest does it, over all weights or one at a time.
func (j *pruneJob) smallest(list []prune.Matrix) (prune.Zeroed, error) {
	g := j.work.Graph
	switch {
	case j.o.apply != "":
		return prune.Tally(list)
	case j.o.nm != "":
		return prune.Blocks(g, list, j.o.n, j.o.m)
	case j.o.score == wanda:
		return prune.SmallestInRows(g, list, j.sparsity)
	case j.o.threshold > 0:
		return prune.Under(g, list, float32(j.o.threshold))
	case j.o.scope == "global":
		return prune.Smallest(g, list, j.sparsity)
	}
	var sum prune.Zeroed
	for _, m := range list {
		z, err := prune.Smallest(g, []prune.Matrix{m}, j.sparsity)
		if err != nil {
			return sum, err
		}
		sum.Elements, sum.Zeros = sum.Elements+z.Elements, sum.Zeros+z.Zeros
	}
	return sum, nil
}

// prove writes the model through the gate and fills in the report.
func (j *pruneJob) prove(ctx context.Context, r *report.Transform) error {
	read, err := j.o.read.options()
	if err != nil {
		return err
	}
	read.Seed = j.o.write.seed
	evalRead := read
	evalRead.Samples = j.o.read.evalSamples
	bar := j.stages()
	defer bar.Done()
	v, err := gate.Run(ctx, gate.Options{
		Runtime: j.rt, Session: j.sessionOptions(), Source: j.source, Result: j.work,
		Output: j.o.write.target(j.output), Workers: j.threads,
		Probe: gate.Data{Source: j.o.write.eval, Read: read}, Eval: gate.Data{Source: j.o.write.eval, Read: evalRead}, Metric: j.o.write.metric,
		MaxLoss: j.o.write.maxLoss, MinSpeedup: j.o.write.minSpeedup, MaxSize: j.o.write.maxSize, Measure: j.o.write.measure,
		Progress: bar.Set,
	})
	if v != nil {
		if e := j.fill(r, v); e != nil {
			return e
		}
	}
	return gateError(err)
}

// fill puts what was done and found into the report.
func (j *pruneJob) fill(r *report.Transform, v *gate.Verdict) error {
	before, after := inspect.Parameters(j.source), inspect.Parameters(j.work)
	out := report.File{Path: j.output, Parameters: after}
	elements, zeros, err := prune.Counted(j.work.Graph, func(name string) bool { return j.counted[name] })
	if err != nil {
		return err
	}
	if j.zeroed != nil {
		elements, zeros = elements+j.zeroed.Elements, zeros+j.zeroed.Zeros
	}
	nonzero := after - zeros
	out.Nonzero = &nonzero
	fillVerdict(r, v, report.File{Path: j.o.model, Parameters: before}, out)
	r.Changes, r.Unchanged = j.changes, j.left
	ratio := float64(before) / float64(max(nonzero, 1))
	r.CompressionRatio = &ratio
	if j.zeroed != nil {
		share, all := float64(j.zeroed.Zeros)/float64(j.zeroed.Elements), float64(zeros)/float64(max(elements, 1))
		r.Sparsity, r.ModelSparsity = &share, &all
	}
	r.Warnings = distinct(j.said, v.Warnings)
	if j.o.finetune > 0 && r.Acceptable {
		r.Warnings = append(r.Warnings, j.o.train.finished(j.folder)...)
	}
	return nil
}

// showPlan prints what would be done.
func (j *pruneJob) showPlan() error {
	bytes, err := j.work.WrittenSize(j.output, onnx.WriteOptions{External: j.o.write.externalData, DataPath: j.output + ".data"})
	if err != nil {
		return err
	}
	p := &report.Plan{
		Header: report.Header{Command: "prune", Config: j.configFile}, Input: j.o.model,
		Output: report.PlannedFile{Path: j.output, Bytes: bytes}, Unchanged: j.left, Warnings: j.said,
	}
	for _, c := range j.changes {
		p.Plan = append(p.Plan, report.Step{Node: c.Node, Op: c.Op, Action: c.Action, Format: c.Format})
	}
	return j.emit(p)
}
