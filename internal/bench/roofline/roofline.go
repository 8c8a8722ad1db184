// Package roofline relates the time of a model to what the machine could do: to
// the speed of its arithmetic and of its memory, as far as ONNX Runtime reaches
// them.
package roofline

import (
	"time"

	"optim/internal/inspect"
)

// Peaks are the speeds that a short probe reached with a given number of
// threads. An operation is a multiplication or an addition: a multiply-accumulate
// is two.
type Peaks struct {
	FP32      float64 `json:"fp32_flops"`         // operations a second
	INT8      float64 `json:"int8_ops"`           // operations a second, uint8 by int8
	Bandwidth float64 `json:"memory_bytes_per_s"` // of weights that lie beyond the caches
	// Cache is the size in bytes of the last-level cache that a core sees; 0: not
	// known.
	Cache int64 `json:"cache_bytes,omitempty"`
}

// Floor returns the least time that a run of this cost takes: the greater of
// computing, 2·Float/FP32 + 2·Integer/INT8, and of reading readBytes of weights
// once. That is the roofline model of Williams, Waterman and Patterson
// ("Roofline: an insightful visual performance model for multicore
// architectures", CACM 52(4), 2009), with traffic that is weights alone:
// activations are small beside them, or stay in the caches.
//
// Weights that fit into the last-level cache are not read from memory again by
// the next run, so that their reading does not count then. A peak that is 0
// leaves its term out.
func (p Peaks) Floor(c inspect.Cost, readBytes int64) time.Duration {
	compute := seconds(2*float64(c.Float), p.FP32) + seconds(2*float64(c.Integer), p.INT8)
	memory := 0.0
	if readBytes > p.Cache {
		memory = seconds(float64(readBytes), p.Bandwidth)
	}
	return time.Duration(min(max(compute, memory), maxSeconds) * float64(time.Second))
}

// maxSeconds keeps a Duration from overflowing.
const maxSeconds = 1e9

func seconds(amount, speed float64) float64 {
	if speed <= 0 {
		return 0
	}
	return amount / speed
}

// Share returns how much of the attainable speed a run that took so long has
// reached, Floor divided by the time; 0 where the time is none.
//
// It is at most 1 if the probe's kernels are the best there are. Some are better:
// convolutions in a blocked layout reach 1.3 times the speed of the matrix
// product. Weights of little more than the last-level cache are partly read from it,
// and so may come above the bandwidth of memory; on processors with several such caches
// even those of the size of all of them.
func (p Peaks) Share(c inspect.Cost, readBytes int64, took time.Duration) float64 {
	if took <= 0 {
		return 0
	}
	return float64(p.Floor(c, readBytes)) / float64(took)
}
