//go:build !(goexperiment.simd && amd64)

package eval

// form is a form of the loops; use chooses it and returns how to undo that.
type form struct {
	name string
	use  func() func()
}

func vectorForms() []form { return []form{{"portable", func() func() { return func() {} }}} }
