package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"optim/internal/calibrate"
	"optim/internal/dataset"
	"optim/internal/eval"
	"optim/internal/inspect"
	"optim/internal/onnx"
	"optim/internal/quant"
	"optim/internal/report"
)

// mixed gives every node the format that the limits allow: all start at the
// smallest, and those whose rounding costs the outputs most for their bytes go
// to 8 bits or back to float until the quality holds, or as far as --max-size
// lets them.
func (j *quantizeJob) mixed(ctx context.Context, obs quant.Observations) error {
	set, err := j.sensitivitySet()
	if err != nil {
		return err
	}
	defer set.Close()
	nodes, err := j.sensitivities(ctx, obs, set)
	if err != nil {
		return err
	}
	choose := j.largestWithin
	if j.o.write.eval != "" {
		choose = j.fewestUpgrades
	}
	chosen, err := choose(ctx, obs, nodes)
	if err != nil {
		return err
	}
	j.q.Assigned = assignments(nodes, chosen)
	for _, c := range nodes {
		j.ledger = append(j.ledger, ledgerLine(c, chosen[c.Node]))
	}
	return j.again(ctx, obs)
}

// sensitivitySet is the data that single nodes are judged on: that of
// calibration, else of evaluation.
func (j *quantizeJob) sensitivitySet() (*dataset.Set, error) {
	if j.o.calib != "" {
		return j.calibrationSet(calibrate.SensitivitySamples)
	}
	return j.evalSet(calibrate.SensitivitySamples)
}

// evalSet opens the evaluation data; most bounds the samples, 0: as many as the
// user wants.
func (j *quantizeJob) evalSet(most int) (*dataset.Set, error) {
	read, err := j.o.read.options()
	if err != nil {
		return nil, err
	}
	read.Seed, read.Samples = j.o.write.seed, j.o.read.evalSamples
	if most > 0 && (read.Samples == 0 || most < read.Samples) {
		read.Samples = most
	}
	read.Vocab, read.PositionRows = inspect.Tables(j.source)
	source := j.o.write.eval
	if source == "" {
		source = dataset.Random
		j.said = append(j.said, "nodes were weighed on made-up inputs: give --calib or --eval to weigh them on what the model will see")
	}
	set, err := dataset.Open(source, j.info, read)
	return set, badInput(err)
}

// sensitivities measures what each node's formats cost the outputs, one node
// quantized at a time.
func (j *quantizeJob) sensitivities(ctx context.Context, obs quant.Observations, set *dataset.Set) ([]quant.Candidate, error) {
	ref, err := j.reference(ctx, set)
	if err != nil {
		return nil, err
	}
	bar := j.progress("weighing nodes")
	defer bar.Done()
	nodes := j.candidates()
	for i := range nodes {
		for k := range nodes[i].Choices {
			c := &nodes[i].Choices[k]
			if c.Format == quant.Float {
				continue
			}
			only := map[string]quant.Assignment{}
			for _, other := range nodes {
				only[other.Node] = quant.Assignment{Format: quant.Float}
			}
			only[nodes[i].Node] = quant.Assignment{Format: c.Format}
			err := j.variant(ctx, obs, func(q *quant.Options) { q.Assigned = only }, func(m *onnx.Model, plan *quant.Plan) (err error) {
				c.Bytes = plan.Changes[0].BytesAfter
				c.Loss, err = ref.Loss(ctx, m)
				return err
			})
			if err != nil {
				return nil, fmt.Errorf("node %q in %s: %w", nodes[i].Node, c.Format, err)
			}
		}
		bar.Set(int64(i+1), int64(len(nodes)))
	}
	return nodes, nil
}

// reference runs the float model on a set, for variants to be compared with.
func (j *quantizeJob) reference(ctx context.Context, set *dataset.Set) (*calibrate.Reference, error) {
	base, err := j.prepared()
	if err != nil {
		return nil, err
	}
	defer base.Close()
	metric := eval.AutoMetric(set)
	logits := metric == eval.Perplexity || metric == eval.Accuracy
	ref, err := calibrate.NewReference(ctx, j.rt, base, set, logits, j.sessionOptions())
	return ref, badInput(err)
}

// candidates are the nodes with weights of the plan, each with the formats that
// it may have.
func (j *quantizeJob) candidates() []quant.Candidate {
	var nodes []quant.Candidate
	for _, c := range j.plan.Changes {
		if c.BytesBefore == 0 {
			continue
		}
		n := quant.Candidate{Node: c.Node, Choices: []quant.Choice{{Format: c.Format}}}
		if wide := string(quant.Int8); c.Format != wide {
			n.Choices = append(n.Choices, quant.Choice{Format: wide})
		}
		n.Choices = append(n.Choices, quant.Choice{Format: quant.Float, Bytes: c.BytesBefore})
		nodes = append(nodes, n)
	}
	return nodes
}

// variant quantizes the untouched model with other options, for f to look at.
func (j *quantizeJob) variant(ctx context.Context, obs quant.Observations, change func(*quant.Options), f func(*onnx.Model, *quant.Plan) error) error {
	m, err := j.prepared()
	if err != nil {
		return err
	}
	defer m.Close()
	q := *j.q
	change(&q)
	plan, err := quant.Quantize(ctx, m, &q, obs, j.workers())
	if err != nil {
		return err
	}
	return f(m, plan)
}

// errMissed says that a variant does not keep to a limit.
var errMissed = errors.New("a limit is missed")

// keeps returns a limit that a model misses where it loses more than --max-loss
// of the quality. The source is measured once, where its quality is a figure of
// its own.
func (j *quantizeJob) keeps() func(context.Context, *onnx.Model) error {
	var before *float64
	return func(ctx context.Context, m *onnx.Model) error {
		set, err := j.evalSet(0)
		if err != nil {
			return err
		}
		defer set.Close()
		o := eval.Options{Metric: j.o.write.metric, Batch: eval.BatchFor(j.source, m)}
		if o.Metric == eval.Auto {
			o.Metric = eval.AutoMetric(set)
		}
		result, err := calibrate.Open(j.rt, m, j.sessionOptions())
		if err != nil {
			return err
		}
		defer result.Close()
		if before != nil {
			r, err := eval.Run(ctx, result, set, o)
			if err != nil {
				return err
			}
			kept, err := eval.Retention(o.Metric, *before, r.Value)
			return cmp.Or(err, j.miss(kept))
		}
		source, err := calibrate.Open(j.rt, j.source, j.sessionOptions())
		if err != nil {
			return err
		}
		defer source.Close()
		k, err := eval.Against(ctx, source, result, set, o)
		if err != nil {
			return err
		}
		if k.Reference != nil {
			before = &k.Reference.Value
		}
		return j.miss(*k.Retention)
	}
}

// miss compares what was kept of the quality with the limit.
func (j *quantizeJob) miss(kept float64) error {
	if kept > 1-j.o.write.maxLoss {
		return nil
	}
	return errMissed
}

// assignments turns choices into what quantization is told, with the reason of
// those that are not in the run's own format.
func assignments(nodes []quant.Candidate, chosen map[string]quant.Choice) map[string]quant.Assignment {
	out := make(map[string]quant.Assignment, len(nodes))
	for _, n := range nodes {
		c := chosen[n.Node]
		reason := ""
		if c.Format != n.Choices[0].Format {
			reason = fmt.Sprintf("kept by --mixed: in %s alone it would cost the outputs %.2g", n.Choices[0].Format, n.Choices[0].Loss)
		}
		out[n.Node] = quant.Assignment{Format: c.Format, Reason: reason}
	}
	return out
}

// ledgerLine is the entry of a node in the report.
func ledgerLine(n quant.Candidate, chosen quant.Choice) report.Ledger {
	l := report.Ledger{Node: n.Node, Format: chosen.Format, Bytes: chosen.Bytes, Loss: map[string]float64{}}
	for _, c := range n.Choices {
		l.Loss[c.Format] = c.Loss
	}
	return l
}
