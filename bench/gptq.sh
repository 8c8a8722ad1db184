#!/bin/sh
# Compares the time of `optim quantize --int4 --method gptq` with GPTQ as published, in PyTorch, on a GPT-2 with random
# weights and windows of real text; and the time of the other formats with that of copying the file:
#
#   bench/gptq.sh [SAMPLES]        windows of 1024 ids, 32 by default
#
# Needs what bench/run.sh needs, 4 GB of disk for PyTorch, and ../shared with text and tokenizer.
set -eu
cd "$(dirname "$0")/.."
. bench/setup.sh
$python -m pip install --quiet --requirement bench/peers/requirements-gptq.txt
samples=${1:-32}
model=$out/gpt2.onnx
text=../shared/data/text/train.txt
tokenizer=../shared/models/tinygpt/tokenizer.json
[ -f $model ] || go run ./bench/genmodel -kind gpt2 -o $model
quantize() {
	$out/optim quantize "$@" --measure off --force -o $out/made.onnx $model | tail -1
}
cat $model > /dev/null
for i in 1 2 3; do
	start=$(date +%s.%N)
	cp $model $out/copy.onnx
	end=$(date +%s.%N)
	echo "cp $(echo "$end $start" | awk '{ printf "%.2f", $1 - $2 }') s"
	echo "int4 rtn, plain scales: $(quantize --int4 --method rtn --scales extremes)"
done
echo "int4 rtn: $(quantize --int4 --method rtn)"
echo "int4 hqq: $(quantize --int4 --method hqq)"
echo "nf4: $(quantize --nf4)"
echo "fp16: $(quantize --fp16)"
echo "bf16: $(quantize --bf16)"
echo "int4 gptq, $samples × 1024: $(quantize --int4 --method gptq --calib $text --tokenizer $tokenizer --seq-len 1024 --calib-samples $samples)"
$python bench/peers/gptq.py $model $text $tokenizer $samples 1024
