package distill

import (
	"context"
	"fmt"
	"math"

	"optim/internal/onnx"
	"optim/internal/ort"
	"optim/internal/tensor"
	"optim/internal/train"
)

// Sensitivities names what Sensitivity measures: the mean over samples of |g·w| (Taylor;
// Molchanov et al., Importance Estimation for Neural Network Pruning), of g², the diagonal
// of the Fisher information, and of ½w²·g² (Optimal Brain Damage; LeCun et al.), g being
// the gradient of one sample's loss.
var Sensitivities = []string{"taylor", "fisher", "obd"}

// Sensitivity returns a score for each element of a model's weights: what the loss of the
// labels, or without labels the distance from what the model gives (which has no gradient
// at its minimum, so that labels are needed), would change by.
func Sensitivity(ctx context.Context, rt *ort.Runtime, m *onnx.Model, rows *train.Rows, score string, session ort.Options, progress func(done, total int)) (map[string][]float32, error) {
	if rows.Kind == train.NoLabels {
		return nil, fmt.Errorf("%w: gradients of a loss need them", ErrNoLabels)
	}
	o := Options{Temperature: 1, Batch: 1, FixedNorms: true, Train: train.Options{Rate: 1, Steps: 1, Session: session}}
	l := &lesson{rt: rt, o: o, student: m, rows: rows}
	defer l.close()
	if err := l.prepare(ctx, m); err != nil {
		return nil, err
	}
	sums := map[string][]float64{}
	weights, grads := l.trainer.Weights(), l.trainer.Gradients()
	for i := range rows.Len() {
		_, err := l.trainer.Measure(ctx, func() error { rows.Copy(l.trainer.Inputs(), 0, i); return nil })
		if err != nil {
			return nil, err
		}
		for name, g := range grads {
			if sums[name] == nil {
				sums[name] = make([]float64, g.Len())
			}
			add(sums[name], tensor.As[float32](weights[name].Data), tensor.As[float32](g.Data), score)
		}
		progress(i+1, rows.Len())
	}
	out := map[string][]float32{}
	for name, s := range sums {
		v := make([]float32, len(s))
		for i, x := range s {
			v[i] = float32(x / float64(rows.Len()))
		}
		out[name] = v
	}
	return out, nil
}

// add adds the scores of one sample up. Each sample's gradient is squared by itself: the
// square of a batch's mean is another thing, and smaller.
func add(sum []float64, w, g []float32, score string) {
	for i, x := range g {
		d, v := float64(x), float64(w[i])
		switch score {
		case "taylor":
			sum[i] += math.Abs(d * v)
		case "fisher":
			sum[i] += d * d
		case "obd":
			sum[i] += 0.5 * v * v * d * d
		}
	}
}
