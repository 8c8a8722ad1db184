package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"optim/internal/distill"
	"optim/internal/prune"
	"optim/internal/report"
)

const pruneLong = `Remove from a model what counts least. A kind has to be named:

--structured    channels of convolutions and neurons of layers, with everything that
                belongs to them: the graph gets smaller, and faster in proportion. How much
                goes is --sparsity of each group, or what costs the outputs least until
                --speedup or --max-size is reached.
--heads         heads of attention, likewise.
--layers N      whole layers of a transformer: those that change what goes through them
                least, on --calib.
--unstructured  the smallest weights become zero. ONNX Runtime is no faster for zeros;
                files get smaller where they are compressed, and other engines may gain.
--nm 2:4        zeros in a pattern that sparse engines want: two of every four weights
                along the inputs stay.

The result is loaded in ONNX Runtime, compared with the source and, with --eval,
measured; one that loses more than --max-loss is not written. --finetune-epochs trains
it on --data before that, with the source as its teacher. Pruned models can be quantized.`

const pruneExample = `  optim prune --structured --sparsity 0.3 --eval test.npz --max-loss 0.02 model.onnx
  optim prune --structured --sparsity 0.5 --data train.npz --finetune-epochs 3 --eval test.npz model.onnx
  optim prune --structured --heads --sparsity 0.25 --eval valid.txt gpt.onnx
  optim prune --structured --speedup 1.5 --data train.npz --eval test.npz model.onnx
  optim prune --unstructured --sparsity 0.5 --eval valid.txt gpt.onnx
  optim prune --nm 2:4 model.onnx`

// pruneOptions are the flags of prune.
type pruneOptions struct {
	model, nm, score, calib, scope, masks, apply, schedule, plot string

	structured, heads, unstructured, embeddings, biases, importance bool
	cut                                                             bool // --top is given: JSON, too, lists no more

	sparsity, threshold, headThreshold, speedup float64
	budget                                      bool // --speedup or --max-size says how much goes

	roundTo, n, m, finetune, layers, steps, top int

	train trainFlags
	read  dataFlags
	write writeFlags
}

func newPruneCmd(a *app) *cobra.Command {
	o := &pruneOptions{}
	cmd := &cobra.Command{
		Use:               "prune MODEL --structured|--heads|--layers N|--unstructured|--nm N:M|--apply-masks FILE|--importance [flags]",
		Short:             "Remove channels, neurons and heads, or put weights to zero",
		Long:              pruneLong,
		Example:           pruneExample,
		Annotations:       map[string]string{noteExit: "3,4,5"},
		ValidArgsFunction: completeModel,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if o.model, err = oneModel("MODEL", args); err != nil {
				return err
			}
			if err := o.check(cmd.Flags()); err != nil {
				return err
			}
			if o.importance {
				return runImportance(cmd.Context(), a, o)
			}
			return runPrune(cmd.Context(), a, o)
		},
	}
	fs := cmd.Flags()
	fs.BoolVar(&o.structured, "structured", false, "remove channels and neurons from the graph")
	fs.BoolVar(&o.heads, "heads", false, "remove heads of attention from the graph")
	fs.BoolVar(&o.unstructured, "unstructured", false, "put the smallest weights to zero")
	fs.StringVar(&o.nm, "nm", "", "keep N of every M weights along the inputs, as `N:M`")
	fs.Float64Var(&o.sparsity, "sparsity", 0.3, "`fraction` to remove: of the units of each group, or of the weights of products")
	enumVar(fs, &o.score, "score", "", "what units or weights are weighed by (units l2, weights l1; on --calib or --data, activation and variance: what goes through units; wanda: weights times their inputs, sparsegpt: what their loss costs the layer, with the weights that stay corrected; the others need labels or running text)", slices.Concat(prune.Scores, []string{prune.Activation, prune.Variance, wanda, sparseGPT}, distill.Sensitivities)...)
	enumVar(fs, &o.scope, "scope", "", "over what the smallest are looked for: unstructured, all weights (global, the default) or each layer's; structured, each group's units (layer, the default) or all, by their share of the group's mean", "global", "layer")
	fs.Float64Var(&o.threshold, "threshold", 0, "unstructured: put all `magnitudes` up to this to zero, in place of --sparsity")
	fs.Float64Var(&o.headThreshold, "head-threshold", 0, "remove heads whose score is below this `share` of the strongest in their layer, in place of --sparsity; 0.1 is usual")
	fs.Float64Var(&o.speedup, "speedup", 0, "structured, heads: remove of each group what costs the outputs least, until a run is this `factor` faster, in place of --sparsity; --max-size alone is such a goal, too")
	fs.BoolVar(&o.importance, "importance", false, "only tell how much each layer counts, by --score: the mean of weights, or the sum over them of what gradients say")
	fs.IntVar(&o.top, "top", 5, "importance: layers to show; 0: all")
	fs.StringVar(&o.plot, "plot", "", "importance: `file` for the bars: .png or .svg")
	fs.StringVar(&o.masks, "masks", "", "unstructured, --nm: write which weights stay to this `file` (.npz), and no model")
	fs.StringVar(&o.apply, "apply-masks", "", "put to zero what the masks of this `file` (.npz) say")
	fs.IntVar(&o.roundTo, "round-to", 8, "leave a multiple of so many channels or neurons, which kernels like")
	fs.BoolVar(&o.biases, "biases", false, "unstructured: biases and the scales of normalizations, too")
	fs.BoolVar(&o.embeddings, "embeddings", false, "unstructured, --nm: embedding tables and heads that share them, too")
	fs.IntVar(&o.finetune, "finetune-epochs", 0, "times that --data is gone through afterwards, to learn what was lost: from the source and, where there are, labels; zeros stay")
	fs.IntVar(&o.layers, "layers", 0, "remove so many of the layers that repeat: those that change what goes through them least, on --calib or --data")
	fs.IntVar(&o.steps, "steps", 1, "steps in which the sparsity grows to --sparsity, with --finetune-epochs after each; with --eval it ends at the last step within --max-loss")
	enumVar(fs, &o.schedule, "schedule", "cubic", "how the sparsity grows over --steps", "cubic", "linear")
	o.train.register(fs, trainFlags{epochs: 1, batch: 8, rate: 1e-4, optimizer: "adamw", decay: 0.01})
	_ = fs.MarkHidden("epochs") // --finetune-epochs says how long
	fs.StringVar(&o.calib, "calib", "", "`data` that scores, --layers and goals look at, in place of --data")
	o.read.register(fs, true)
	o.write.register(fs)
	return cmd
}

// kind names what is done, for the report and the recipe.
func (o *pruneOptions) kind() string {
	var list []string
	for _, k := range []struct {
		on   bool
		name string
	}{{o.structured, "structured"}, {o.heads, "heads"}, {o.layers > 0, "layers"}, {o.unstructured, "unstructured"}, {o.nm != "", o.nm}, {o.apply != "", "masks"}} {
		if k.on {
			list = append(list, k.name)
		}
	}
	return strings.Join(list, "+")
}

func runPrune(ctx context.Context, a *app, o *pruneOptions) (err error) {
	j := &pruneJob{app: a, start: time.Now(), o: o, output: o.write.outputPath(o.model, ".pruned")}
	defer j.close()
	if err := j.open(); err != nil {
		return err
	}
	r := &report.Transform{Header: report.Header{Command: "prune", Config: a.configFile}, Method: o.kind(), Format: "pruned"}
	if done, err := j.upToDate(&o.write, j.source, j.output, j.recipe, r, j.start); done || err != nil {
		return err
	}
	if err := j.gradual(ctx, r); err != nil {
		return err
	}
	if o.write.dryRun {
		return j.showPlan()
	}
	if o.masks != "" {
		return j.writeMasks(r)
	}
	if err := j.recipe.Store(j.work); err != nil {
		return err
	}
	err = j.prove(ctx, r)
	if err != nil && exitOf(err) != exitLimit {
		return err
	}
	r.Duration = time.Since(j.start).Seconds()
	if emitted := a.emit(r); emitted != nil {
		return emitted
	}
	return err
}

// recipe returns the options that decide the bytes of the result.
func (o *pruneOptions) recipe() string {
	return fmt.Sprint(o.kind(), " ", o.sparsity, o.threshold, o.headThreshold, o.score, o.scope, o.roundTo, o.embeddings, o.biases, o.layers, o.finetune, o.steps, o.schedule, o.write.maxLoss, o.budget, o.speedup, o.write.maxSize)
}
