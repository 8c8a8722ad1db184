package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"optim/internal/dataset"
	"optim/internal/distill"
	"optim/internal/eval"
	"optim/internal/host"
	"optim/internal/inspect"
	"optim/internal/onnx"
	"optim/internal/ort"
	"optim/internal/report"
	"optim/internal/report/plot"
	"optim/internal/train"
)

// saveEvery is the time between two checkpoints within an epoch: no more than that is
// lost to a power cut.
const saveEvery = time.Minute

// environment names what decides the last bits of a sum.
func (a *app) environment(ctx context.Context, rt *ort.Runtime) string {
	facts, _ := host.Probe(ctx) // of what is not known nothing can be said
	return fmt.Sprintf("%s, %d threads, ONNX Runtime %s", facts.CPU.Model, a.workers(), rt.Version())
}

// room is the memory that is free, in bytes; 0: not known.
func (a *app) room(ctx context.Context) int64 {
	facts, err := host.Probe(ctx)
	if err != nil {
		return 0
	}
	return facts.Room()
}

// trainingBar shows steps with the loss, and the time left.
type trainingBar struct {
	*progress
	name string
}

func (a *app) trainingBar(stages, stage int) *trainingBar {
	name := "training"
	if stages > 1 {
		name = fmt.Sprintf("training, stage %d of %d", stage, stages)
	}
	return &trainingBar{progress: a.progress(name), name: name}
}

func (b *trainingBar) step(p train.Point) {
	if b.progress == nil {
		return
	}
	b.describe(fmt.Sprintf("%s: loss %.4f", b.name, p.Total))
	b.Set(int64(p.Step), int64(p.Steps))
}

// figure measures a model after each epoch.
type figure struct {
	app    *app
	rt     *ort.Runtime
	source string
	read   dataset.Options
	name   string
	path   string // beside which a tokenizer is looked for
}

// figure prepares the measurement of --eval for models like the one that info tells of.
func (a *app) figure(rt *ort.Runtime, info dataset.ModelInfo, read dataset.Options, w *writeFlags) (*figure, error) {
	f := &figure{app: a, rt: rt, path: info.Path, source: w.eval, read: read, name: w.metric}
	if f.name != "" && f.name != eval.Auto {
		return f, nil
	}
	set, err := dataset.Open(f.source, info, f.read)
	if err != nil {
		return nil, badInput(err)
	}
	defer set.Close()
	f.name = eval.AutoMetric(set)
	return f, nil
}

// better tells whether a is the better figure.
func (f *figure) better(a, b float64) bool {
	if f.name == eval.Perplexity || f.name == eval.MSE {
		return a < b
	}
	return a > b
}

// measure returns the figure of m, or of m against the reference where the metric
// compares two.
func (f *figure) measure(ctx context.Context, reference, m *onnx.Model) (float64, error) {
	s, info, err := f.open(m)
	if err != nil {
		return 0, err
	}
	defer s.Close()
	read := f.read
	read.Vocab, read.PositionRows = inspect.Tables(m)
	set, err := dataset.Open(f.source, info, read)
	if err != nil {
		return 0, err
	}
	defer set.Close()
	o := eval.Options{Metric: f.name}
	if !eval.NeedsReference(f.name) {
		r, err := eval.Run(ctx, s, set, o)
		return r.Value, err
	}
	ref, _, err := f.open(reference)
	if err != nil {
		return 0, err
	}
	defer ref.Close()
	kept, err := eval.Against(ctx, ref, s, set, o)
	return kept.Value, err
}

func (f *figure) open(m *onnx.Model) (*ort.Session, dataset.ModelInfo, error) {
	b, err := m.Marshal()
	if err != nil {
		return nil, dataset.ModelInfo{}, err
	}
	s, err := f.rt.OpenBytes(b, f.app.sessionOptions())
	if err != nil {
		return nil, dataset.ModelInfo{}, err
	}
	return s, dataset.ModelInfo{Path: f.path, Inputs: s.Inputs(), Outputs: s.Outputs()}, nil
}

// explainTraining turns the errors of training a model on data into what the user can do;
// folder is that of the checkpoints, empty where none are written.
func explainTraining(err error, model, data, folder string) error {
	var named *dataset.Error
	switch {
	case errors.Is(err, context.Canceled) && folder != "":
		return withHint(err, "the same command with --resume goes on from %q", folder)
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, distill.ErrMemory):
		return withHint(err, "a smaller --batch-size with --accumulate, or --recompute")
	case errors.Is(err, train.ErrDiverged):
		return withHint(err, "a smaller --lr, --clip-grad 1 or --warmup-steps 100 may help")
	case errors.Is(err, train.ErrCheckpoint):
		return withHint(badInput(err), "begin anew with --force")
	case errors.Is(err, distill.ErrNoLabels):
		return withHint(badInput(fmt.Errorf("%s: %w", data, err)), "distill --alpha 1 learns from the teacher alone")
	case errors.As(err, &named):
		return badInput(err)
	}
	return badInput(fmt.Errorf("%s: %w", model, err))
}

// addTraining puts a training's epochs and curve into the report.
func addTraining(r *report.Transform, out *train.Outcome, stage int) {
	for _, e := range out.Epochs {
		part := func(name string) *float64 {
			if v, ok := e.Parts[name]; ok {
				return &v
			}
			return nil
		}
		r.Epochs = append(r.Epochs, report.Epoch{Stage: stage, Total: e.Total, Seconds: e.Seconds, Metric: e.Metric,
			KD: part(distill.KD), Task: part(distill.Task), Attention: part(distill.Attention), Hidden: part(distill.Hidden)})
	}
	for _, p := range out.Curve {
		r.Curve = append(r.Curve, report.Point{Stage: stage, Step: p.Step, Epoch: p.Epoch, Rate: p.Rate, Total: p.Total, Parts: p.Parts})
	}
}

// checkCurve refuses a file for the curve whose kind is not known.
func checkCurve(path string) error {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".png", ".svg", ".csv":
		return nil
	}
	return usagef("--plot must end in .png, .svg or .csv, not %q", path)
}

// writeCurve writes the loss curve as a picture or a table.
func writeCurve(path string, r *report.Transform) error {
	kind := strings.ToLower(strings.TrimPrefix(filepath.Ext(path), "."))
	var b []byte
	var err error
	if kind == "csv" {
		b, err = curveTable(r.Curve)
	} else {
		b, err = plot.Training(curves(r.Curve), "Training of "+filepath.Base(r.Output.Path), kind)
	}
	if err != nil {
		return err
	}
	return fileError(os.WriteFile(path, b, 0o644))
}

// curves makes a line of each part of the loss; the steps of stages follow each other.
func curves(points []report.Point) []plot.Curve {
	parts := []string{distill.KD, distill.Task, distill.Attention, distill.Hidden}
	lines := []plot.Curve{{Name: "loss"}, {Name: "distillation"}, {Name: "task"}, {Name: "attention"}, {Name: "hidden"}}
	before, last := 0, 0
	for i, p := range points {
		if i > 0 && p.Stage != points[i-1].Stage {
			before += last
		}
		last = p.Step
		add := func(c *plot.Curve, loss float64) {
			c.Steps, c.Loss = append(c.Steps, float64(before+p.Step)), append(c.Loss, loss)
		}
		add(&lines[0], p.Total)
		for k, name := range parts {
			if v, ok := p.Parts[name]; ok {
				add(&lines[k+1], v)
			}
		}
	}
	return slices.DeleteFunc(lines, func(c plot.Curve) bool { return len(c.Steps) == 0 })
}

func curveTable(points []report.Point) ([]byte, error) {
	parts := []string{distill.KD, distill.Task, distill.Attention, distill.Hidden}
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	err := w.Write(append([]string{"stage", "step", "epoch", "rate", "total"}, parts...))
	number := func(f float64) string { return strconv.FormatFloat(f, 'g', 7, 64) }
	for _, p := range points {
		row := []string{strconv.Itoa(max(p.Stage, 1)), strconv.Itoa(p.Step), number(p.Epoch), number(p.Rate), number(p.Total)}
		for _, name := range parts {
			cell := ""
			if v, ok := p.Parts[name]; ok {
				cell = number(v)
			}
			row = append(row, cell)
		}
		err = errors.Join(err, w.Write(row))
	}
	w.Flush()
	return b.Bytes(), errors.Join(err, w.Error())
}
