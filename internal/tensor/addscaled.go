package tensor

// AddScaled adds a·x to dst, element by element. The product is rounded before it is added,
// on every processor.
func AddScaled(dst, x []float32, a float32) {
	dst = dst[:len(x)]
	for i := vectorAddScaled(dst, x, a); i < len(x); i++ {
		dst[i] += float32(a * x[i])
	}
}
