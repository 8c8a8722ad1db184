package tensor

import "slices"

// DoubleBlock is the number of scales that share a scale of their own in double
// quantization.
const DoubleBlock = 256

// DynamicMap is the 8-bit dynamic tree code of bitsandbytes (Dettmers, "8-bit
// Approximations for Parallelism in Deep Learning", 2016), signed: numbers from
// −0.99 to 1 in seven decades, the greater ones in finer steps, and 0.
var DynamicMap = func() []float32 {
	out := []float32{0, 1}
	decade := 1e-6
	for i := range 7 {
		n := 1 << i
		for j := range n {
			middle := 0.1 + 0.9*(float64(j)+0.5)/float64(n)
			out = append(out, float32(decade*middle), float32(-decade*middle))
		}
		decade *= 10
	}
	slices.Sort(out)
	return out
}()

// DoubleQuant is a run of scales in 8 bits, as QLoRA has it: scale i is
// DynamicMap[Codes[i]]·Scales[i/DoubleBlock] + Offset.
type DoubleQuant struct {
	Codes  []uint8
	Scales []float32
	Offset float32 // the scales' mean
}

// QuantizeDouble takes the nearest code for each scale less their mean, over the
// greatest magnitude of its block.
func QuantizeDouble(scales []float32) DoubleQuant {
	sum := 0.0
	for _, s := range scales {
		sum += float64(s)
	}
	q := DoubleQuant{Codes: make([]uint8, len(scales)), Offset: float32(sum / float64(max(len(scales), 1)))}
	for from := 0; from < len(scales); from += DoubleBlock {
		block := scales[from:min(from+DoubleBlock, len(scales))]
		top := float32(0)
		for _, s := range block {
			top = max(top, s-q.Offset, q.Offset-s)
		}
		q.Scales = append(q.Scales, top)
		for i, s := range block {
			q.Codes[from+i] = nearestDynamic((s - q.Offset) / max(top, minScale))
		}
	}
	return q
}

// nearestDynamic returns the place of the nearest number in DynamicMap.
func nearestDynamic(y float32) uint8 {
	at, _ := slices.BinarySearch(DynamicMap, y)
	switch {
	case at == len(DynamicMap):
		at--
	case at > 0 && y-DynamicMap[at-1] <= DynamicMap[at]-y:
		at--
	}
	return uint8(at)
}

// Restore returns the scales that the codes mean.
func (q *DoubleQuant) Restore() []float32 {
	out := make([]float32, len(q.Codes))
	for i, c := range q.Codes {
		out[i] = DynamicMap[c]*q.Scales[i/DoubleBlock] + q.Offset
	}
	return out
}
