# optim: `make` builds bin/optim, one file with ONNX Runtime inside.
# Needed: Go, a C compiler, and npm (or python3 with pip) for the first build.

GO      ?= go
FUZZTIME ?= 10s
COUNT   ?= 6

# The tools of `make lint` and `make vulncheck`, each pinned.
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK = golang.org/x/vuln/cmd/govulncheck@v1.9.0

export CGO_ENABLED = 1

# TensorRT: where make trt-deps puts what it fetches, and the flavour that build-trt is for
# (TRT-RTX-1.7; TRT-Enterprise-11.4 where TensorRT itself is installed).
TRT_DEPS    ?= build/trt
TRT_FLAVOUR ?= TRT-RTX-1.7
trt_headers  = $(abspath $(TRT_DEPS))/headers/0.9.1
trt_flags    = CGO_CXXFLAGS="-O2 -isystem $(trt_headers)/$(TRT_FLAVOUR) -isystem $(trt_headers)" \
               CGO_LDFLAGS="-static-libstdc++ -static-libgcc"

.DEFAULT_GOAL := build
.PHONY: build lib test race lint tidy fuzz bench demo man vulncheck ci clean distclean help trt-deps build-trt build-gpu test-trt

## build: bin/optim, with the library embedded and the vector forms of the kernels
build: lib
	$(GO) run ./scripts/ortlib pack
	GOEXPERIMENT=simd $(GO) build -trimpath -tags embedort -ldflags '-s -w' -o bin/optim ./cmd/optim

## lib: ONNX Runtime's library in lib/, as scripts/ort.lock pins it
lib:
	$(GO) run ./scripts/ortlib fetch

## test: all tests; those of the kernels in both forms
test: lib
	$(GO) test ./...
	GOEXPERIMENT=simd $(GO) test ./internal/tensor ./internal/calib ./internal/eval ./internal/rounding

## race: all tests under the race detector
race: lib
	$(GO) test -race ./...

## lint: format, vet, staticcheck, and the import graph
lint:
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); \
	if [ -n "$$unformatted" ]; then echo "gofmt wants to change:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...
	$(GO) test -count=1 ./internal/layers
	sh -n scripts/demo.sh scripts/fuzz.sh bench/run.sh bench/loop.sh bench/setup.sh bench/no-vnni.sh bench/gptq.sh bench/training.sh bench/distill.sh bench/qat.sh bench/prune.sh bench/check.sh bench/gpu.sh bench/trt.sh scripts/trt-deps.sh scripts/vet-cuda.sh && bash -n .ci/run

## tidy: go.mod and go.sum hold what is imported, no more and no less
tidy:
	$(GO) mod tidy -diff
	$(GO) mod verify

## fuzz: every fuzz target for FUZZTIME
fuzz: lib
	GO='$(GO)' FUZZTIME='$(FUZZTIME)' scripts/fuzz.sh

## bench: every benchmark, COUNT times, as benchstat reads it
bench: lib
	@mkdir -p bench/out
	$(GO) test -run '^$$' -bench . -benchmem -count $(COUNT) ./... | tee bench/out/go-bench.txt

## demo: what the program does, on the models of testdata
demo: build
	scripts/demo.sh

## man: the manual pages in dist/man
man:
	$(GO) run ./cmd/optim man dist/man

## vulncheck: known vulnerabilities in what is used
vulncheck:
	$(GO) run $(GOVULNCHECK) ./...

## ci: all checks, as .ci/run makes them from a clean checkout
ci:
	.ci/run

## trt-deps: TensorRT's headers, TensorRT-RTX's libraries and CUDA's headers, in build/trt; needs cargo and pip
trt-deps:
	TRT_DEPS='$(TRT_DEPS)' scripts/trt-deps.sh

## build-trt: bin/optim-trt, which builds TensorRT engines; needs g++ and make trt-deps
build-trt: lib
	@test -d '$(trt_headers)/$(TRT_FLAVOUR)' || { echo "$(trt_headers)/$(TRT_FLAVOUR) is missing: run make trt-deps first"; exit 1; }
	$(GO) run ./scripts/ortlib pack
	$(trt_flags) GOEXPERIMENT=simd $(GO) build -trimpath -tags trt,embedort -ldflags '-s -w' -o bin/optim-trt ./cmd/optim

## build-gpu: bin/optim-gpu, which measures engines, too; needs make trt-deps, and a driver to run at all
build-gpu: lib
	@test -d '$(TRT_DEPS)/cuda' || { echo "$(TRT_DEPS)/cuda is missing: run make trt-deps first"; exit 1; }
	CGO_CFLAGS="-w -I$(abspath $(TRT_DEPS))/cuda" CGO_CXXFLAGS="-O2 -isystem $(trt_headers)/$(TRT_FLAVOUR) -isystem $(trt_headers)" \
	CGO_LDFLAGS="-L$(abspath $(TRT_DEPS))/cuda-stub -static-libstdc++ -static-libgcc" $(GO) build -trimpath -tags trt,cuda -ldflags '-s -w' -o bin/optim-gpu ./cmd/optim

## test-trt: the shim against all headers, engines by TensorRT-RTX, and the CUDA side compiled; no GPU is needed
test-trt: lib trt-deps
	OPTIM_TRT_HEADERS='$(abspath $(TRT_DEPS))/headers' $(GO) test -count=1 -run TestHeaders ./internal/trt
	$(trt_flags) OPTIM_TRT_LIB='$(abspath $(TRT_DEPS))/lib' $(GO) test -count=1 -tags trt ./internal/trt
	$(trt_flags) OPTIM_TRT_LIB='$(abspath $(TRT_DEPS))/lib' $(GO) test -count=1 -tags trt -run 'TestScripts/build_engine' ./cmd/optim
	TRT_DEPS='$(abspath $(TRT_DEPS))' $(trt_flags) scripts/vet-cuda.sh

## clean: what was built; the library stays, as it costs a download
clean:
	rm -rf bin build dist bench/out internal/ort/embedded/libonnxruntime.*

## distclean: also the library
distclean: clean
	rm -rf lib

## help: this list
help:
	@sed -n 's/^## //p' Makefile
