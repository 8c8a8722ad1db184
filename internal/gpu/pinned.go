//go:build cgo && cuda

package gpu

/*
#include <stdint.h>
#include <cuda.h>

static const char *optim_error(CUresult r) {
	const char *text = "unknown error of CUDA";
	cuGetErrorString(r, &text);
	return text;
}
static CUresult optim_begin(uintptr_t s) { return cuStreamBeginCapture((CUstream)s, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL); }
static CUresult optim_end(uintptr_t s, CUgraph *g) { return cuStreamEndCapture((CUstream)s, g); }
static CUresult optim_instantiate(CUgraphExec *e, CUgraph g) { return cuGraphInstantiateWithFlags(e, g, 0); }
static CUresult optim_launch(CUgraphExec e, uintptr_t s) { return cuGraphLaunch(e, (CUstream)s); }
*/
import "C"

import (
	"errors"
	"unsafe"
)

// What gorgonia.org/cu lacks: page-locked memory, capture, and texts of errors.

func failure(r C.CUresult) error {
	if r == C.CUDA_SUCCESS {
		return nil
	}
	return errors.New(C.GoString(C.optim_error(r)))
}

func allocHost(bytes int) (p unsafe.Pointer, err error) {
	err = failure(C.cuMemHostAlloc(&p, C.size_t(bytes), 0))
	return p, err
}

func freeHost(p unsafe.Pointer) error { return failure(C.cuMemFreeHost(p)) }

// graph is captured work.
type graph struct {
	g    C.CUgraph
	exec C.CUgraphExec
}

// capture records what enqueue puts into a stream.
func capture(stream uintptr, enqueue func() error) (Graph, error) {
	if err := failure(C.optim_begin(C.uintptr_t(stream))); err != nil {
		return nil, err
	}
	queued := enqueue()
	g := &graph{}
	if err := errors.Join(queued, failure(C.optim_end(C.uintptr_t(stream), &g.g))); err != nil {
		return nil, err
	}
	if err := failure(C.optim_instantiate(&g.exec, g.g)); err != nil {
		return nil, errors.Join(err, failure(C.cuGraphDestroy(g.g)))
	}
	return g, nil
}

func (g *graph) Launch(s Stream) error {
	return failure(C.optim_launch(g.exec, C.uintptr_t(s.Handle())))
}

func (g *graph) Close() error {
	return errors.Join(failure(C.cuGraphExecDestroy(g.exec)), failure(C.cuGraphDestroy(g.g)))
}
