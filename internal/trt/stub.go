//go:build !cgo || !trt

package trt

import "fmt"

// Built reports whether this program can use TensorRT at all.
const Built = false

// Flavour returns the flavour that this program was built for: none.
func Flavour() string { return "" }

// Open fails: this program has no TensorRT.
func Open(dir string) (Lib, error) {
	return nil, fmt.Errorf("%w: this program was built without the trt tag", ErrUnavailable)
}
