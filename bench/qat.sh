#!/bin/sh
# What quantization-aware training brings back of what few bits lose: rounding, the best
# method without training, and training, three seeds.
#
#   bench/qat.sh [cnn|gpt]      needs bin/optim and the models and data beside the project
set -eu
cd "$(dirname "$0")/.."
optim=${OPTIM:-bin/optim}
data=../shared/data
models=../shared/models
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

one() { # name arguments…
	name=$1
	shift
	"$optim" quantize --measure off --max-loss 1 --json --no-progress -o "$work/q.onnx" --force "$@" 2>/dev/null >"$work/out.json"
	printf '%s: ' "$name"
	sed -n '/"quality"/,/}/p' "$work/out.json" | grep -E '"(before|after)"' | tr -d ' \n"'
	echo
}

cnn() { one "$@" --eval $data/digits/test.npz $models/mnist-cnn/mnist-cnn.onnx; }
gpt() { one "$@" --eval $data/text/valid.txt --eval-samples 200 $models/tinygpt/tinygpt.onnx; }

if [ "${1:-cnn}" = cnn ]; then
	cnn "mnist-cnn, int4 of 3 bits, rtn" --int4 --block-size 64 --bits 3 --method rtn
	cnn "mnist-cnn, int4 of 3 bits, autoround" --int4 --bits 3 --method autoround --calib $data/digits/calib.npz
	cnn "mnist-cnn, int8, static" --int8 --calib $data/digits/calib.npz
	cnn "mnist-cnn, 4 bits, activations too, static" --int8 --bits 4 --activation-bits 4 --calib $data/digits/calib.npz
	for seed in 0 1 2; do
		cnn "mnist-cnn, 4 bits, activations too, qat, seed $seed" --int8 --bits 4 --activation-bits 4 --method qat --seed $seed --data $data/digits/train.npz --calib $data/digits/calib.npz --lr 3e-4 --epochs 3 --batch-size 32
		cnn "mnist-cnn, int4 of 3 bits, qat, seed $seed" --int4 --block-size 64 --bits 3 --method qat --seed $seed --data $data/digits/train.npz --lr 1e-4 --epochs 3 --batch-size 32
		cnn "mnist-cnn, int8 of 3 bits, qat, seed $seed" --int8 --bits 3 --method qat --seed $seed --data $data/digits/train.npz --lr 1e-4 --epochs 3 --batch-size 32
		cnn "mnist-cnn, int8, qat, seed $seed" --int8 --method qat --seed $seed --data $data/digits/train.npz --calib $data/digits/calib.npz --lr 1e-5 --epochs 2 --batch-size 32
	done
fi
if [ "${1:-gpt}" = gpt ]; then
	gpt "tinygpt, 3 bits, rtn" --int4 --block-size 64 --bits 3 --method rtn
	gpt "tinygpt, 3 bits, gptq" --int4 --block-size 64 --bits 3 --method gptq --calib $data/text/train.txt
	gpt "tinygpt, 3 bits, autoround" --int4 --block-size 64 --bits 3 --method autoround --calib $data/text/train.txt
	gpt "tinygpt, int8, static" --int8 --calib $data/text/train.txt
	for seed in 0 1 2; do
		gpt "tinygpt, 3 bits, qat, seed $seed" --int4 --block-size 64 --bits 3 --method qat --seed $seed --data $data/text/train.txt --samples 1600 --lr 1e-4 --epochs 1 --batch-size 16
		gpt "tinygpt, int8, qat, seed $seed" --int8 --method qat --seed $seed --data $data/text/train.txt --samples 480 --lr 1e-5 --epochs 1 --batch-size 16
	done
fi
