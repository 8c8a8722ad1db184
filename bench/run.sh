#!/bin/sh
# Compares optim with ONNX Runtime's own quantizer on this machine:
#
#   bench/run.sh                 the models of ../shared/models
#   bench/run.sh --large         and a GPT-2 (0.5 GB), a GPT-2 large (3.1 GB) and a ResNet-50 with random weights
#   bench/run.sh --models minilm,tinygpt [--seconds 10]
#
# Needs Go, Python 3.10 or later, and 12 GB of disk and memory for --large. Both sides run on the same
# libonnxruntime, that of the Python package. Everything is written to bench/out.
set -eu
cd "$(dirname "$0")/.."
out=bench/out
python=$out/venv/bin/python
large=
if [ "${1:-}" = --large ]; then
	large=1
	shift
fi

mkdir -p $out/models
if [ ! -x $python ]; then
	python3 -m venv $out/venv
	$python -m pip install --quiet --requirement bench/peers/requirements.txt
fi
GOEXPERIMENT=simd go build -o $out/optim ./cmd/optim # as make build does
OPTIM_ORT_LIB=$($python -c 'import glob, os, onnxruntime as o; print(glob.glob(os.path.join(os.path.dirname(o.__file__), "capi", "libonnxruntime.so*"))[0])')
export OPTIM_ORT_LIB

$python bench/peers/run.py --optim $out/optim "$@" $out/models
if [ -n "$large" ]; then
	mkdir -p $out/large
	files=
	for kind in gpt2 gpt2-large resnet50; do
		file=$out/$kind.onnx
		[ -f $file ] || go run ./bench/genmodel -kind $kind -o $file
		files=${files:+$files,}$file
	done
	$python bench/peers/run.py --optim $out/optim --models "$files" $out/large
fi
