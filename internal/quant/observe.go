package quant

import (
	"math"

	"optim/internal/calib"
	"optim/internal/tensor"
)

// Calibrator names how the range of an activation is chosen from what was
// observed.
type Calibrator string

// The calibrators. AutoCalibrator is MSE: the range with the least expected
// squared error, which leaves out outliers only where that pays.
const (
	AutoCalibrator Calibrator = "auto"
	MinMax         Calibrator = "minmax"
	Percentile     Calibrator = "percentile"
	Entropy        Calibrator = "entropy"
	MSE            Calibrator = "mse"
)

// Calibrators lists the valid calibrators.
var Calibrators = []Calibrator{AutoCalibrator, MinMax, Percentile, Entropy, MSE}

// Histograms reports whether the calibrator needs more than extremes.
func (c Calibrator) Histograms() bool { return c != MinMax }

// Observation is what calibration saw of one activation, over all samples.
type Observation struct {
	Shape    tensor.Shape     // in the first sample
	Min, Max float32          // exact
	Power    float64          // mean of squares
	Hist     *calib.Histogram // nil with MinMax
	Mean     []float64        // per channel, where it was asked for
	Channels *Channels        // nil where they were not asked for
}

// Channels are statistics per channel of the last axis.
type Channels struct {
	Min, Max []float32
	Square   []float64 // mean of squares
}

// Observations are the activations by value name.
type Observations map[string]*Observation

// codes are the parameters of a quantized activation.
type codes struct {
	scale float32
	zero  int32
	sqnr  float64 // expected signal to quantization noise, in dB
}

const (
	codeMin = 0
	codeMax = 255
)

// finite reports whether no value was infinite; values that are have no code.
func (o *Observation) finite() bool {
	if o.Hist != nil && o.Hist.Infs > 0 {
		return false
	}
	return o.Min-o.Min == 0 && o.Max-o.Max == 0
}

// encode chooses scale and zero point of an unsigned 8-bit code.
func (o *Observation) encode(c Calibrator, symmetric bool) codes {
	if !o.finite() {
		return codes{scale: 1, sqnr: math.Inf(-1)}
	}
	lo, hi := o.Min, o.Max
	if o.Hist != nil {
		switch c {
		case Percentile:
			lo, hi = o.Hist.Percentile(percentile)
		case Entropy:
			lo, hi = o.Hist.Entropy()
		case MSE, AutoCalibrator:
			lo, hi = o.Hist.MSE(tensor.Uint8, codeMin, codeMax, symmetric && o.Min < 0)
		}
	}
	s, z := tensor.ChooseAffine(lo, hi, tensor.Uint8, codeMin, codeMax, symmetric && o.Min < 0)
	return codes{s, z, o.sqnr(s, z)}
}

// percentile is the share of values, in percent, that the percentile
// calibrator keeps inside the range: ONNX Runtime's default.
const percentile = 99.999

// sqnr is the expected ratio of signal to quantization noise in dB: from the
// histogram, or else from the noise of rounding alone.
func (o *Observation) sqnr(scale float32, zero int32) float64 {
	if o.Hist != nil {
		return o.Hist.SQNR(scale, zero, codeMin, codeMax)
	}
	return roundingSQNR(o.Power, scale)
}

// roundingSQNR is the ratio, in dB, of a signal of that mean square to the
// noise of rounding.
func roundingSQNR(power float64, scale float32) float64 {
	switch {
	case power == 0:
		return math.Inf(1)
	case math.IsInf(power, 1): // the squares left float32: nothing that 8 bits could follow
		return math.Inf(-1)
	}
	return 10 * math.Log10(power/roundingNoise(scale))
}

// roundingNoise is the mean squared error of rounding to multiples of scale.
func roundingNoise(scale float32) float64 { return float64(scale) * float64(scale) / 12 }

// vanish reports whether more than half of the values that are not zero would
// become zero. The ratio of signal to noise does not see that: scores beside a
// mask of −10⁴, or beside the coordinates of a box, have no part in the signal.
func (o *Observation) vanish(c codes) bool {
	if o.Hist == nil || o.Hist.Count == o.Hist.Zeros {
		return false
	}
	zeros := float64(o.Hist.Zeros) / float64(o.Hist.Count)
	lo, hi := o.Hist.PercentileAbs(100 * (1 + zeros) / 2)
	return max(-lo, hi) < c.scale/2
}
