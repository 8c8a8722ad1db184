package main

import (
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"optim/internal/distill"
	"optim/internal/prune"
)

// removes and zeros tell the kinds apart: units that go, weights that become zero.
func (o *pruneOptions) removes() bool { return o.structured || o.heads || o.layers > 0 }
func (o *pruneOptions) zeros() bool   { return o.unstructured || o.nm != "" || o.apply != "" }

// idle says that a flag means nothing without another one.
func idle(name, without string) error { return usagef("--%s means nothing without %s", name, without) }

// check refuses what contradicts itself or means nothing.
func (o *pruneOptions) check(flags *pflag.FlagSet) error {
	if o.importance {
		return o.checkImportance(flags, o.removes() || o.zeros())
	}
	for _, check := range []func(*pflag.FlagSet) error{o.checkKinds, o.checkAmounts, o.checkSteps, o.checkScore, o.checkCalib} {
		if err := check(flags); err != nil {
			return err
		}
	}
	if o.nm != "" {
		if err := o.parseNM(); err != nil {
			return err
		}
	}
	if o.finetune > 0 {
		o.train.epochs = o.finetune
		if err := o.train.check(flags, true); err != nil {
			return err
		}
	}
	if err := o.read.check(); err != nil {
		return err
	}
	return o.write.check(flags)
}

// checkKinds: one kind, or several that go together.
func (o *pruneOptions) checkKinds(flags *pflag.FlagSet) error {
	removes, zeros := o.removes(), o.zeros()
	switch {
	case given(flags, "top"):
		return idle("top", "--importance")
	case o.plot != "":
		return idle("plot", "--importance")
	case !removes && !zeros:
		return withHint(usagef("no kind of pruning is named"), "give --structured, --heads, --layers N, --unstructured, --nm N:M, --apply-masks FILE, or --importance")
	case removes && zeros:
		return usagef("--structured, --heads and --layers remove, --unstructured, --nm and --apply-masks put to zero: one after the other")
	case o.unstructured && o.nm != "", o.apply != "" && (o.unstructured || o.nm != ""):
		return usagef("--unstructured, --nm and --apply-masks exclude each other")
	case o.apply != "" && (given(flags, "sparsity") || given(flags, "embeddings")):
		return usagef("--apply-masks takes no --sparsity and --embeddings: the masks say what goes")
	case o.masks != "" && (!zeros || o.apply != "" || o.finetune > 0 || o.write.dryRun || o.write.eval != "" || given(flags, "output")):
		return usagef("--masks goes with --unstructured or --nm, and with nothing that needs a model: --output, --eval, --finetune-epochs, --dry-run")
	}
	return nil
}

// checkAmounts: how much goes, and flags that say it for one kind.
func (o *pruneOptions) checkAmounts(flags *pflag.FlagSet) error {
	switch {
	case !(o.sparsity >= 0 && o.sparsity < 1):
		return usagef("--sparsity must be a fraction from 0 to below 1, not %v", o.sparsity)
	case given(flags, "threshold") && !o.unstructured:
		return idle("threshold", "--unstructured")
	case given(flags, "threshold") && !(o.threshold > 0):
		return usagef("--threshold must be above 0, not %v", o.threshold)
	case given(flags, "threshold") && given(flags, "sparsity"):
		return usagef("--threshold and --sparsity exclude each other")
	case given(flags, "head-threshold") && !o.heads:
		return idle("head-threshold", "--heads")
	case given(flags, "head-threshold") && given(flags, "sparsity") && !o.structured:
		return usagef("--head-threshold and --sparsity exclude each other for --heads")
	case given(flags, "head-threshold") && !(o.headThreshold > 0 && o.headThreshold <= 1):
		return usagef("--head-threshold must be a share up to 1, not %v", o.headThreshold)
	case given(flags, "speedup") && !(o.speedup > 1):
		return usagef("--speedup must be above 1, not %v", o.speedup)
	case given(flags, "speedup") && !(o.structured || o.heads):
		return idle("speedup", "--structured or --heads")
	case given(flags, "speedup") && (given(flags, "sparsity") || given(flags, "head-threshold")):
		return usagef("--speedup says how much goes: it excludes --sparsity and --head-threshold")
	case given(flags, "scope") && !o.unstructured && !o.structured:
		return idle("scope", "--unstructured or --structured")
	case o.structured && o.scope == "global" && (o.speedup > 0 || o.write.maxSize > 0 && !given(flags, "sparsity")):
		return usagef("--scope global goes with --sparsity: --speedup and --max-size choose over all groups anyway")
	case given(flags, "embeddings") && !o.zeros():
		return idle("embeddings", "--unstructured or --nm")
	case o.biases && (!o.unstructured || o.score != "" && o.score != "l1"):
		return usagef("--biases is for --unstructured by magnitudes")
	case given(flags, "round-to") && !o.structured:
		return idle("round-to", "--structured")
	case o.roundTo < 1:
		return usagef("--round-to must be at least 1, not %d", o.roundTo)
	case given(flags, "sparsity") && o.layers > 0 && !o.structured && !o.heads:
		return usagef("--sparsity means nothing for --layers, which says how many go")
	case given(flags, "sparsity") && o.nm != "":
		return usagef("--sparsity means nothing for --nm, which says how many stay")
	}
	o.budget = (o.structured || o.heads) && (o.speedup > 0 || o.write.maxSize > 0) && !given(flags, "sparsity") && o.headThreshold == 0
	return nil
}

// checkSteps: steps, layers and training.
func (o *pruneOptions) checkSteps(flags *pflag.FlagSet) error {
	switch {
	case given(flags, "epochs"):
		return usagef("--epochs means nothing here: --finetune-epochs says how long")
	case o.steps < 1 || o.steps > 1000:
		return usagef("--steps must be from 1 to 1000, not %d", o.steps)
	case o.steps > 1 && (o.nm != "" || o.apply != "" || o.threshold > 0 || o.headThreshold > 0 || o.masks != "" || o.layers > 0 || o.budget || o.write.dryRun):
		return usagef("--steps goes with --sparsity alone")
	case given(flags, "schedule") && o.steps == 1:
		return idle("schedule", "--steps")
	case o.finetune < 0 || o.layers < 0:
		return usagef("--finetune-epochs and --layers must not be negative")
	case o.layers > 0 && o.scoring().data == "":
		return withHint(usagef("--layers needs data to see what layers do"), "give --calib DATA or --data DATA")
	case o.finetune == 0 && o.layers == 0 && !o.needsData() && !o.budget && trainingFlag(flags) != "":
		return usagef("--%s means nothing without --finetune-epochs", trainingFlag(flags))
	}
	return nil
}

// checkScore: scores, and the data that they need.
func (o *pruneOptions) checkScore(flags *pflag.FlagSet) error {
	switch {
	case o.byInputs() && !o.unstructured && o.nm == "":
		return usagef("--score %s is for --unstructured and --nm", o.score)
	case o.byInputs() && given(flags, "scope") && o.scope == "global":
		return usagef("--score %s compares the weights of a layer, not --scope global", o.score)
	case o.score == sparseGPT && o.masks != "":
		return usagef("--score sparsegpt changes the weights that stay: --masks could not tell how")
	case o.byActivation() && o.zeros():
		return usagef("--score %s is for units, not for single weights", o.score)
	case o.needsData() && o.scoring().data == "":
		return withHint(usagef("--score %s needs data", o.score), "give --calib DATA or --data DATA")
	case o.score == "l2" && o.zeros():
		return usagef("--score l2 is for units; weights go by their magnitude (l1)")
	case o.score != "" && o.score != "l1" && given(flags, "threshold"):
		return usagef("--threshold goes by magnitude, not by --score %s", o.score)
	}
	return nil
}

// checkCalib: --calib where something looks at it, and --data then for training alone.
func (o *pruneOptions) checkCalib(flags *pflag.FlagSet) error {
	switch {
	case o.calib == "" && given(flags, "calib-samples"):
		return idle("calib-samples", "--calib")
	case o.calib == "":
		return nil
	case !o.needsData() && o.layers == 0 && !o.budget:
		return idle("calib", "a --score that needs data, --layers, --speedup or --max-size")
	case o.finetune == 0 && trainingFlag(flags) != "":
		return usagef("--%s means nothing beside --calib without --finetune-epochs", trainingFlag(flags))
	}
	return notStdin("--calib", o.calib)
}

// scoring says what scores are made of: --calib, else --data.
func (o *pruneOptions) scoring() trainFlags {
	read := o.train
	if o.calib != "" {
		read.data, read.samples = o.calib, o.read.calibSamples
	}
	return read
}

// The scores by the inputs of weights.
const (
	wanda     = "wanda"
	sparseGPT = "sparsegpt"
)

// byInputs reports whether weights are scored by what they are multiplied with.
func (o *pruneOptions) byInputs() bool { return o.score == wanda || o.score == sparseGPT }

// needsData reports whether the score needs --data.
func (o *pruneOptions) needsData() bool {
	return o.bySensitivity() || o.byInputs() || o.byActivation()
}

// byActivation reports whether units are scored by what goes through them.
func (o *pruneOptions) byActivation() bool {
	return o.score == prune.Activation || o.score == prune.Variance
}

// bySensitivity reports whether scores come from gradients.
func (o *pruneOptions) bySensitivity() bool { return slices.Contains(distill.Sensitivities, o.score) }

func (o *pruneOptions) parseNM() (err error) {
	n, m, ok := strings.Cut(o.nm, ":")
	if ok {
		o.n, err = strconv.Atoi(n)
	}
	if ok && err == nil {
		o.m, err = strconv.Atoi(m)
	}
	if !ok || err != nil || o.n < 1 || o.m <= o.n || o.m > 64 {
		return usagef("--nm must be N:M such as 2:4, not %q", o.nm)
	}
	return nil
}
