/* Lets gorgonia.org/cu, which knows CUDA 12, compile with the headers of CUDA 13: put this folder first in
   CGO_CFLAGS. The functions whose arguments changed are declared as they were, and linked by their old
   names, which drivers still have. */
#pragma once
#include_next <cuda.h>
#if CUDA_VERSION >= 13000
#undef cuCtxCreate
#define cuCtxCreate cuCtxCreate_v2
CUresult CUDAAPI cuCtxCreate_v2(CUcontext *, unsigned int, CUdevice);
#undef cuMemAdvise
#define cuMemAdvise optim_cuMemAdvise
CUresult CUDAAPI optim_cuMemAdvise(CUdeviceptr, size_t, CUmem_advise, CUdevice) __asm__("cuMemAdvise");
#undef cuMemPrefetchAsync
#define cuMemPrefetchAsync optim_cuMemPrefetchAsync
CUresult CUDAAPI optim_cuMemPrefetchAsync(CUdeviceptr, size_t, CUdevice, CUstream) __asm__("cuMemPrefetchAsync");
#undef cuGraphAddDependencies
#define cuGraphAddDependencies optim_cuGraphAddDependencies
CUresult CUDAAPI optim_cuGraphAddDependencies(CUgraph, const CUgraphNode *, const CUgraphNode *, size_t) __asm__("cuGraphAddDependencies");
#undef cuGraphGetEdges
#define cuGraphGetEdges optim_cuGraphGetEdges
CUresult CUDAAPI optim_cuGraphGetEdges(CUgraph, CUgraphNode *, CUgraphNode *, size_t *) __asm__("cuGraphGetEdges");
#endif
