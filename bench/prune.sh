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
half() { # MODEL KINDS SIZES
	"$optim" prune $2 --sparsity 0.5 --measure off --no-progress --force -o "$work/half.onnx" "../shared/models/$1.onnx" >/dev/null
	"$optim" bench "../shared/models/$1.onnx" "$work/half.onnx" $3 --no-progress --json >"$work/half.json" 2>/dev/null
	figure macs "$work/half.json" | tr '\n' ' ' | awk -v run="$1 $3" -v speed="$(figure speedup "$work/half.json")" -v low="$(figure low "$work/half.json")" -v high="$(figure high "$work/half.json")" \
		'{printf "%-42s products %.2f x fewer, %.2f x faster (%.2f to %.2f), %.2f of it\n", run, $1 / $2, speed, low, high, speed * $2 / $1}'
}
for size in 1 32; do
	half resnet-tiny/resnet-tiny-bn --structured "--batch $size"
	half mnist-cnn/mnist-cnn-bn --structured "--batch $size"
done
for size in 1 8; do
	half tinygpt/tinygpt "--structured --heads" "--seq-len 128 --batch $size"
	half tinygpt/tinygpt-dynamo "--structured --heads" "--seq-len 128 --batch $size"
	half minilm/minilm "--structured --heads" "--seq-len 128 --batch $size"
done

# Half of the weights of tinygpt zero, without training; the data from three places on.
text=../shared/data/text
gpt=../shared/models/tinygpt/tinygpt-dynamo.onnx
zeros() {
	"$optim" prune "$@" --eval $text/test.txt --max-loss 1 --measure off --no-progress --force --json -o "$work/zeros.onnx" $gpt >"$work/zeros.json"
	echo "+$(figure increase "$work/zeros.json")"
}
for kind in "--unstructured --sparsity 0.5" "--unstructured --sparsity 0.5 --scope layer" "--nm 2:4"; do
	echo "$kind, magnitudes: loss $(zeros $kind)"
done
for from in 1 20001 40001; do
	tail -c +$from $text/train.txt >"$work/part.txt"
	for kind in "--unstructured --sparsity 0.5" "--nm 2:4"; do
		for score in wanda sparsegpt; do
			echo "from byte $from, $kind, $score: loss $(zeros $kind --score $score --data "$work/part.txt" --samples 512)"
		done
	done
done

# Zeros, and then 4 bits: GPTQ leaves the zeros where they are.
"$optim" prune --nm 2:4 --score sparsegpt --data $text/train.txt --samples 512 --measure off --no-progress --force -o "$work/zeros.onnx" $gpt >/dev/null
"$optim" quantize --int4 --method gptq --calib $text/train.txt --calib-samples 512 --tokenizer ../shared/models/tinygpt/tokenizer.json --seq-len 128 \
	--eval $text/test.txt --max-loss 1 --measure off --no-progress --force -o "$work/bits.onnx" "$work/zeros.onnx" | grep -E 'size|quality'

# Units by their scores, a quarter of the heads and neurons, without training.
for score in "l1" "l2" "activation --data $text/train.txt --samples 64" "variance --data $text/train.txt --samples 64" "taylor --data $text/train.txt --samples 64" "fisher --data $text/train.txt --samples 64"; do
	echo "--structured --heads --sparsity 0.25, ${score%% *}: loss $(zeros --structured --heads --sparsity 0.25 --score $score)"
done
echo "--structured --heads --max-size 8.5MB, taylor: loss $(zeros --structured --heads --max-size 8.5MB --score taylor --data $text/train.txt --samples 64)"

# A goal of speed against the same share of every group.
for goal in "--speedup 1.5 --calib $text/train.txt" "--sparsity 0.5"; do
	"$optim" prune --structured --heads $goal --eval $text/test.txt --max-loss 1 --measure on --no-progress --force -o "$work/goal.onnx" $gpt >"$work/goal.txt"
	echo "--structured --heads $goal: $(grep -E 'quality|speed ' "$work/goal.txt" | tr -s ' \n' ' ')"
done
