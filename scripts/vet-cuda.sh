#!/bin/sh
# Compiles and vets what is behind the tags trt and cuda: with CUDA 12's headers, and with CUDA 13's
# behind the header of internal/gpu/cuda13. Links with a stub; nothing is run. The caller sets
# CGO_CXXFLAGS for TensorRT's headers, as make test-trt does.
set -eu
deps=${TRT_DEPS:-build/trt}
export CGO_LDFLAGS="-L$deps/cuda-stub ${CGO_LDFLAGS:-}"
CGO_CFLAGS="-w -I$deps/cuda" go vet -tags trt,cuda ./internal/gpu ./internal/trt ./internal/bench/... ./cmd/optim
CGO_CFLAGS="-w -I$deps/cuda" go build -tags trt,cuda -o /dev/null ./cmd/optim
if [ -d "$deps/cuda13" ]; then
	CGO_CFLAGS="-w -I$PWD/internal/gpu/cuda13 -I$deps/cuda13" go vet -tags cuda ./internal/gpu
else
	echo "vet-cuda: no headers of CUDA 13 in $deps/cuda13: not tried with them"
fi
