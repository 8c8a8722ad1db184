// Package trttest has a TensorRT that builds nothing, for tests of what stands around it.
package trttest

import (
	"context"
	"encoding/binary"
	"errors"

	"optim/internal/trt"
)

// Lib is a library whose builds say and give what its fields hold.
type Lib struct {
	About   trt.Info
	Log     []string // messages of the builder
	Types   map[string]int
	Fails   error
	Options *trt.BuildOptions // of the last build
	Model   string            // that the last build was of
	Open    int               // plans that were not closed
}

var _ trt.Lib = (*Lib)(nil)

// Info implements trt.Lib.
func (l *Lib) Info() trt.Info { return l.About }

// Close implements trt.Lib.
func (l *Lib) Close() error { return nil }

// Load implements trt.Lib: there is no GPU.
func (l *Lib) Load([]byte) (trt.Engine, error) { return nil, trt.ErrDriver }

// Build implements trt.Lib.
func (l *Lib) Build(ctx context.Context, model string, o *trt.BuildOptions, log trt.Logger) (*trt.Plan, error) {
	l.Options, l.Model = o, model
	for i, text := range l.Log {
		log.Log(trt.Verbose, text)
		log.Progress("building", i, len(l.Log))
	}
	if ctx.Err() != nil {
		return nil, errors.Join(trt.ErrCanceled, ctx.Err())
	}
	if l.Fails != nil {
		return nil, l.Fails
	}
	l.Open++
	return &trt.Plan{Data: Plan(256), Network: trt.Network{Types: l.Types}, Free: func() { l.Open-- }}, nil
}

// Plan returns a plan file of n bytes that says it is TensorRT-RTX's 1.7.1.116.
func Plan(n int) []byte {
	b := make([]byte, n)
	copy(b, "vtrt")
	binary.LittleEndian.PutUint64(b[16:], uint64(n))
	copy(b[24:], []byte{1, 7, 1, 116})
	return b
}
