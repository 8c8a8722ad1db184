//go:build goexperiment.simd && amd64

package eval

// form is a form of the loops; use chooses it and returns how to undo that.
type form struct {
	name string
	use  func() func()
}

// vectorForms lists the portable form, and those that this processor can run.
func vectorForms() []form {
	choose := func(vectors, wide bool) func() func() {
		return func() func() {
			v, w := useVectors, useWide
			useVectors, useWide = vectors, wide
			return func() { useVectors, useWide = v, w }
		}
	}
	out := []form{{"portable", choose(false, false)}}
	if useVectors {
		out = append(out, form{"AVX2", choose(true, false)})
	}
	if useWide {
		out = append(out, form{"AVX-512", choose(true, true)})
	}
	return out
}
