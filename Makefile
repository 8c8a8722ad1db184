# optim: `make` builds bin/optim, one file with ONNX Runtime inside.
# Needed: Go, a C compiler, and npm (or python3 with pip) for the first build.

GO      ?= go
FUZZTIME ?= 10s
COUNT   ?= 6

# The tools of `make lint` and `make vulncheck`, each pinned.
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK = golang.org/x/vuln/cmd/govulncheck@v1.9.0

export CGO_ENABLED = 1

.DEFAULT_GOAL := build
.PHONY: build lib test race lint tidy fuzz bench demo man vulncheck ci clean distclean help

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
	GOEXPERIMENT=simd $(GO) test ./internal/tensor ./internal/calib ./internal/eval

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
	sh -n scripts/demo.sh scripts/fuzz.sh bench/run.sh bench/loop.sh bench/setup.sh bench/no-vnni.sh bench/gptq.sh bench/training.sh bench/distill.sh bench/qat.sh bench/prune.sh && bash -n .ci/run

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

## clean: what was built; the library stays, as it costs a download
clean:
	rm -rf bin dist bench/out internal/ort/embedded/libonnxruntime.*

## distclean: also the library
distclean: clean
	rm -rf lib

## help: this list
help:
	@sed -n 's/^## //p' Makefile
