#!/bin/sh
# Whether a teacher helps: students trained with it and, for the same number of steps on
# the same data, without it (--alpha 0). Three seeds each.
#
#   bench/distill.sh [text|digits]      needs bin/optim and the models and data beside the project
set -eu
cd "$(dirname "$0")/.."
optim=${OPTIM:-bin/optim}
data=../shared/data
models=../shared/models
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

one() { # name seed alpha arguments…
	name=$1 seed=$2 alpha=$3
	shift 3
	"$optim" distill --seed "$seed" --alpha "$alpha" --measure off --max-loss 1 --json --no-progress -o "$work/s.onnx" --force "$@" 2>/dev/null |
		sed -n 's/^    "after": \([0-9.]*\),*$/\1/p' | head -1 | xargs echo "$name" seed "$seed" alpha "$alpha"
}

if [ "${1:-text}" = text ]; then
	for seed in 0 1 2; do
		for alpha in 0.7 0; do
			one "tinygpt/2, perplexity" $seed $alpha --reduce 2 --temperature 2 --lr 2e-3 --lr-schedule cosine --warmup-steps 20 --clip-grad 1 \
				--steps 500 --batch-size 16 --samples 8000 --data $data/text/train.txt --eval $data/text/valid.txt --patience 0 $models/tinygpt/tinygpt.onnx
		done
	done
fi
if [ "${1:-digits}" = digits ]; then
	for seed in 0 1 2; do
		for alpha in 0.9 0; do
			one "mnist-cnn/2, accuracy" $seed $alpha --reduce 2 --init random --temperature 4 --lr 3e-3 --lr-schedule cosine \
				--epochs 40 --batch-size 25 --samples 500 --data $data/digits/train.npz --eval $data/digits/test.npz $models/mnist-cnn/mnist-cnn.onnx
		done
	done
fi
