#!/bin/sh
# Half of a network's channels removed and trained on, then 8-bit integers: the three in one
# table. And the time that zeros take on a model of 498 MB.
#
#   bench/prune.sh         needs bin/optim and the models and data beside the project
set -eu
cd "$(dirname "$0")/.."
optim=${OPTIM:-bin/optim}
data=../shared/data/digits
source=../shared/models/resnet-tiny/resnet-tiny-bn.onnx
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$optim" prune --structured --sparsity 0.5 --data $data/train.npz --finetune-epochs 4 --lr 1e-3 --lr-schedule cosine --batch-size 32 \
	--eval $data/test.npz --max-loss 0.05 --no-progress -o "$work/pruned.onnx" $source
"$optim" quantize --int8 --calib $data/calib.npz --eval $data/test.npz --max-loss 0.05 --no-progress -o "$work/pruned.int8.onnx" "$work/pruned.onnx"
"$optim" bench $source "$work/pruned.onnx" "$work/pruned.int8.onnx" --eval $data/test.npz --no-progress

go run ./bench/genmodel -kind gpt2 -o "$work/gpt2.onnx"
cp "$work/gpt2.onnx" "$work/copy.onnx"
for kind in "--unstructured --sparsity 0.5" "--nm 2:4" "--structured --sparsity 0.5"; do
	rm -f "$work/out.onnx"
	echo "$kind"
	"$optim" prune $kind --measure off --no-progress -o "$work/out.onnx" "$work/gpt2.onnx" | grep -E 'sparsity|took'
done
