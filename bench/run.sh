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
. bench/setup.sh
large=
if [ "${1:-}" = --large ]; then
	large=1
	shift
fi

mkdir -p $out/models
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
