//go:build !cgo || !cuda

package gpu

import "fmt"

// Built reports whether this program can use a GPU by itself.
const Built = false

// Open fails: this program cannot use a GPU.
func Open(int) (Device, error) {
	return nil, fmt.Errorf("%w: this program was built without the cuda tag", ErrUnavailable)
}
