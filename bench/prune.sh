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

# Speed in proportion to the products that are removed, without training.
figure() { # KEY FILE: the first number behind a key, in a report
	sed -n "s/.*\"$1\": \([0-9.e+-]*\).*/\1/p" "$2"
}
for model in resnet-tiny/resnet-tiny-bn mnist-cnn/mnist-cnn-bn tinygpt/tinygpt tinygpt/tinygpt-dynamo minilm/minilm; do
	kinds=--structured
	case $model in tiny* | minilm*) kinds="--structured --heads" ;; esac
	"$optim" prune $kinds --sparsity 0.5 --measure on --no-progress --force --json -o "$work/half.onnx" "../shared/models/$model.onnx" >"$work/half.json"
	figure macs "$work/half.json" | tr '\n' ' ' | awk -v model="$model" -v speed="$(figure speedup "$work/half.json")" -v low="$(figure low "$work/half.json")" -v high="$(figure high "$work/half.json")" \
		'{printf "%-24s products %.2f x fewer, %.2f x faster (%.2f to %.2f)\n", model, $1 / $2, speed, low, high}'
done

# Half of the weights of tinygpt zero, by layer, without training, on three parts of the text.
text=../shared/data/text
gpt=../shared/models/tinygpt/tinygpt-dynamo.onnx
for part in 0 1 2; do
	tail -c +$((part * 600000 + 1)) $text/train.txt | head -c 600000 >"$work/part.txt"
	for score in "l1 --scope layer" "wanda --data $work/part.txt --samples 128" "sparsegpt --data $work/part.txt --samples 128"; do
		for kind in "--unstructured --sparsity 0.5" "--nm 2:4"; do
			case "$kind $score" in "--nm 2:4 l1"*) s=l1 ;; *) s=$score ;; esac
			"$optim" prune $kind --score $s --eval $text/test.txt --max-loss 1 --measure off --no-progress --force --json -o "$work/zeros.onnx" $gpt >"$work/zeros.json"
			echo "part $part, $kind, ${s%% *}: loss +$(figure increase "$work/zeros.json")"
		done
	done
done
