#!/bin/sh
# On a machine with a GPU and a driver: builds engines of the models in testdata in every precision, loads,
# runs and times them, compares what they compute with ONNX Runtime, and writes the record.
#
#   make trt-deps build-gpu && bench/gpu.sh          (TensorRT-RTX: not for compute capability 9.0)
#   TRT_FLAVOUR=TRT-Enterprise-11.4 OPTIM_TRT_LIB=/usr/lib/x86_64-linux-gnu …    (TensorRT)
#
# The record is bench/out/gpu.jsonl: one object of build-engine and one of bench for each engine.
set -eu
cd "$(dirname "$0")/.."
optim=bin/optim-gpu
[ -x "$optim" ] || { echo "$optim is missing: make trt-deps build-gpu" >&2; exit 1; }
export OPTIM_TRT_LIB="${OPTIM_TRT_LIB:-$PWD/build/trt/lib}"
export OPTIM_ORT_LIB="${OPTIM_ORT_LIB:-$PWD/lib/libonnxruntime.so.1}"
out=bench/out/gpu
mkdir -p "$out"
record=bench/out/gpu.jsonl
$optim doctor --json | tr -d '\n' >"$record"
echo >>"$record"

engine() { # MODEL CALIB PRECISION
	name=$(basename "$1" .onnx).$3
	calib=
	case $3 in int8 | fp8 | best) calib="--calib $2" ;; esac
	# shellcheck disable=SC2086
	if ! $optim build-engine --precision "$3" $calib --max-batch 32 --max-seq 128 --force --json -o "$out/$name.engine" "$1" >"$out/$name.json"; then
		echo "$name: not built" >&2
		return 0
	fi
	tr -d '\n' <"$out/$name.json" >>"$record"
	echo >>"$record"
	for graph in false true; do
		echo "== $name, CUDA graph $graph"
		$optim bench --cuda-graph=$graph "$out/$name.engine" || continue
		$optim bench --cuda-graph=$graph --json "$out/$name.engine" 2>/dev/null | tr -d '\n' >>"$record"
		echo >>"$record"
	done
}

for precision in fp32 fp16 bf16 int8 fp8 best; do
	engine testdata/models/digits-mlp/digits-mlp.onnx testdata/digits/calib.npz $precision
	engine testdata/models/mnist-cnn/mnist-cnn.onnx testdata/digits/calib.npz $precision
	engine testdata/models/resnet-tiny/resnet-tiny.onnx testdata/digits/calib.npz $precision
	engine testdata/models/tinygpt/tinygpt.onnx testdata/text/valid.txt $precision
done
echo "wrote $record"
