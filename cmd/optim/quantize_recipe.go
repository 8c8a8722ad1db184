package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/zeebo/xxh3"

	"optim/internal/calibrate"
	"optim/internal/recipe"
)

// describe returns the recipe: everything that decides the bytes of the result.
func (j *quantizeJob) describe() (recipe.Recipe, error) {
	r := recipe.New("quantize", version)
	var err error
	if r.Source, err = j.source.Hash(); err != nil {
		return r, badInput(err)
	}
	q := j.q
	r.Set("format", string(q.Format))
	r.Set("method", string(q.Method))
	r.Set("target", q.Target.Name)
	r.Set("bits", fmt.Sprint(q.Bits))
	r.Set("per_tensor", fmt.Sprint(q.PerTensor))
	r.Set("embeddings", fmt.Sprint(q.Embeddings))
	r.Set("symmetric", fmt.Sprint(q.Symmetric))
	r.Set("keep", recipe.Patterns(q.Keep))
	r.Set("only", recipe.Patterns(q.Only))
	if ext := j.o.write.externalData; ext != "auto" {
		r.Set("external_data", ext)
	}
	for flag, value := range map[string]string{
		"block-size": fmt.Sprint(q.BlockSize), "scales": j.o.scales, "compute-dtype": string(q.Compute),
		"double-quant": fmt.Sprint(q.DoubleQuant), "form": string(q.Form), "keep-io": fmt.Sprint(!q.HalfIO),
	} {
		if j.o.meanings()[flag] {
			r.Set(strings.ReplaceAll(flag, "-", "_"), value)
		}
	}
	if dir := j.o.checkpoint.dir; dir != "" {
		sum, err := recipe.Fingerprint(dir)
		if err != nil {
			return r, badInput(fileError(err))
		}
		r.Set("checkpoint", sum)
	}
	if j.o.cache != "source" {
		r.Set("kv_cache", j.o.cache)
	}
	if j.mayDerive() {
		r.Set("derive", "true")
	}
	if j.o.mixed {
		r.Set("mixed", fmt.Sprint(j.o.write.maxLoss, j.o.write.maxSize, j.o.write.metric, j.o.read.evalSamples, j.o.write.eval != ""))
		if j.o.write.eval != "" {
			if sum, err := recipe.Fingerprint(j.o.write.eval); err == nil {
				r.Set("mixed_data", sum)
			}
		}
	}
	if j.o.mixed || q.Trained() || q.Calibrated() {
		j.o.read.describe(r.Set, j.o.model, j.o.write.eval, j.o.train.data, j.o.calib)
		r.Set("seed", fmt.Sprint(j.o.write.seed))
	}
	if q.Trained() {
		sum, err := fingerprint(j.o.train.data)
		if err != nil {
			return r, err
		}
		r.Set("training_data", sum)
		r.Set("training", j.o.train.recipe())
	}
	if r.Data, err = fingerprint(j.o.calib); err != nil || !q.Calibrated() {
		return r, err
	}
	if q.Activations != 8 {
		r.Set("activation_bits", fmt.Sprint(q.Activations))
	}
	r.Set("calibrator", string(q.Calibrator))
	r.Set("smooth", j.o.smooth)
	r.Set("samples", fmt.Sprint(j.o.read.calibSamples, " spread"))
	return r, nil
}

// calibrationCache is the file that keeps what o observes of this model on this
// data; empty where no folder for it can be had.
func (j *quantizeJob) calibrationCache(o calibrate.Options) string {
	dir, err := j.cacheFolder()
	if err != nil {
		return ""
	}
	dir = filepath.Join(dir, "calibration")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return ""
	}
	calibrate.Prune(dir)
	key := j.recipe.Digest(append([]string{"samples", "seed"}, readingOptions...)...)
	return filepath.Join(dir, key+"-"+observed(o)+".json")
}

// observed names what a run observes: which values, and what of them.
func observed(o calibrate.Options) string {
	h := xxh3.New()
	fmt.Fprintf(h, "%t %q %v", o.Histograms, o.Values, o.Channels) // maps are printed in order
	return strconv.FormatUint(h.Sum64(), 36)
}
