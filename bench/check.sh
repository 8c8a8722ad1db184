#!/bin/sh
# Writes every format and form of tinygpt-dynamo and MiniLM, and what prune makes of both exports of tinygpt and of
# MiniLM, and lets onnx.checker and a plain ONNX Runtime look at them.
#
#   bench/check.sh [PYTHON]      needs bin/optim, the models beside the project, and onnx and onnxruntime in PYTHON
set -eu
cd "$(dirname "$0")/.."
optim=${OPTIM:-bin/optim}
python=${1:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
calib="--calib ../shared/data/text/valid.txt --calib-samples 8"
make() { # NAME MODEL COMMAND...
	name=$1 model=$2
	shift 2
	"$optim" "$@" --measure off --quiet --force -o "$work/$name.onnx" "../shared/models/$model.onnx" >/dev/null
}
for model in tinygpt/tinygpt-dynamo minilm/minilm; do
	m=${model#*/}
	make "$m.int8" $model quantize --int8
	make "$m.int8-weights" $model quantize --int8 --method weight-only
	make "$m.int8-static" $model quantize --int8 $calib
	make "$m.int8-qdq" $model quantize --int8 --form qdq $calib
	make "$m.int8-tensorrt" $model quantize --int8 --form tensorrt $calib
	make "$m.int8-16" $model quantize --int8 --activation-bits 16 $calib
	for method in hqq rtn; do make "$m.int4-$method" $model quantize --int4 --method $method; done
	for method in gptq awq; do make "$m.int4-$method" $model quantize --int4 --method $method $calib; done
	make "$m.int4-qdq" $model quantize --int4 --form qdq
	make "$m.int4-tensorrt" $model quantize --int4 --form tensorrt
	for bits in 2 3; do make "$m.int4-$bits" $model quantize --int4 --bits $bits; done
	make "$m.nf4" $model quantize --nf4
	make "$m.nf4-float" $model quantize --nf4 --double-quant=false
	make "$m.fp4" $model quantize --fp4
	make "$m.fp16" $model quantize --fp16
	make "$m.fp16-io" $model quantize --fp16 --keep-io=false
	make "$m.bf16" $model quantize --bf16
done
for model in tinygpt/tinygpt tinygpt/tinygpt-dynamo minilm/minilm; do
	m=${model#*/}
	make "$m.neurons" $model prune --structured --sparsity 0.5
	make "$m.heads" $model prune --heads --sparsity 0.5
	make "$m.2-4" $model prune --nm 2:4
done
"$python" bench/peers/check.py "$work"/*.onnx
