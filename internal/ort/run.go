package ort

// #include "native.h"
import "C"

import (
	"context"
	"fmt"
	"unsafe"

	"optim/internal/tensor"
)

// withRunOptions calls run with options that are told to stop when ctx ends.
func withRunOptions(ctx context.Context, run func(*C.OrtRunOptions) error) error {
	if ctx.Done() == nil {
		return run(nil)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	var o *C.OrtRunOptions
	if err := check(C.opt_run_options(&o)); err != nil {
		return fmt.Errorf("run options: %w", err)
	}
	defer C.opt_release_run_options(o)
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		// The only failure is a missing pointer; the run then ends by itself.
		_ = check(C.opt_terminate(o))
	})
	err := run(o)
	if !stop() {
		<-done // the options must outlive the call above
	}
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// aligned returns t with its data at an address that its elements may lie at:
// kernels read through typed pointers. Views into a mapped file need not be.
func aligned(t tensor.Tensor) tensor.Tensor {
	size := uintptr(t.DType.Bits() / 8)
	if size < 2 || len(t.Data) == 0 {
		return t
	}
	if size > 8 {
		size = 8 // a complex number is a pair
	}
	if uintptr(unsafe.Pointer(&t.Data[0]))%size == 0 {
		return t
	}
	words := make([]uint64, (len(t.Data)+7)/8)
	data := tensor.AsBytes(words)[:len(t.Data)]
	copy(data, t.Data)
	t.Data = data
	return t
}
