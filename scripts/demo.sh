#!/bin/sh
# What optim does, on the small models of testdata: `make demo`. Everything is written to bin/demo. The
# demo is a check, too: it fails where a result is not what is claimed here.
set -eu
cd "$(dirname "$0")/.."

demo=bin/demo
rm -rf $demo
mkdir -p $demo
# A copy without its neighbours, and a cache of its own, show that the one file is enough.
cp bin/optim $demo/optim
unset OPTIM_ORT_LIB
export OPTIM_CACHE_DIR=$PWD/$demo/cache

# The report of every run, for a last look at the figures that have to hold.
summary=$demo/summary.md

say() { printf '\n== %s\n' "$*"; }

fail() {
	echo "demo: $*" >&2
	exit 1
}

# run COMMAND...: shows and runs a command.
run() {
	printf '\n$ %s\n' "$*"
	"$demo/$@"
}

# refused STATUS COMMAND...: shows and runs a command that has to exit with STATUS.
refused() {
	want=$1
	shift
	status=0
	run "$@" || status=$?
	[ $status -eq "$want" ] || fail "exit status $status, not $want: $*"
	echo "(exit status $status)"
}

bytes() { wc -c <"$1"; }

# smaller FILE SOURCE PERCENT: FILE has at most PERCENT of SOURCE's bytes.
smaller() {
	[ $(($(bytes "$1") * 100)) -le $(($(bytes "$2") * $3)) ] ||
		fail "$1 has $(bytes "$1") bytes, more than $3 % of $2"
}

resnet=testdata/models/resnet-tiny/resnet-tiny-bn.onnx
gpt=testdata/models/tinygpt/tinygpt.onnx
calib=testdata/digits/calib.npz
digits=testdata/digits/test.npz
text=testdata/text/valid.txt

say "This machine"
run optim doctor

say "A convolutional network: static INT8, ranges from 128 digits, accuracy on 2000 others"
run optim quantize --int8 --calib $calib --eval $digits --max-loss 0.01 --summary $summary -o $demo/resnet.onnx $resnet
smaller $demo/resnet.onnx $resnet 30

say "A language model: dynamic INT8 needs no data; perplexity on a text says what it costs"
run optim quantize --int8 --eval $text --max-loss 0.01 --summary $summary -o $demo/gpt.onnx $gpt
smaller $demo/gpt.onnx $gpt 30

say "The same in weights of 4 bits, rounded by GPTQ on other text"
run optim quantize --int4 --calib testdata/text/test.txt --calib-samples 64 --eval $text --max-loss 0.02 --measure off --summary $summary -o $demo/gpt4.onnx $gpt
smaller $demo/gpt4.onnx $gpt 19

say "The same digits, before and after, measured apart from the run that made the file"
run optim eval $demo/resnet.onnx --against $resnet --data $digits --max-loss 0.01

say "Speed, memory and quality side by side, as a picture and a page"
run optim bench $gpt $demo/gpt.onnx --duration 1s --eval $text --eval-samples 100 --plot $demo/tradeoff.png --report $demo/bench.html
[ -s $demo/tradeoff.png ] && [ -s $demo/bench.html ] || fail "the picture or the page is missing"

say "A result that loses too much is not written: weights of 2 bits"
refused 4 optim quantize --int8 --bits 2 --measure off --eval $text --eval-samples 50 --max-loss 0.01 -o $demo/bad.onnx $gpt
[ ! -e $demo/bad.onnx ] || fail "$demo/bad.onnx was written"

say "The same input gives the same bytes"
run optim quantize --int8 --measure off --calib $calib --quiet -o $demo/again.onnx $resnet
cmp $demo/resnet.onnx $demo/again.onnx || fail "two runs differ"
refused 1 optim quantize --int8 -o $demo/twice.onnx $demo/resnet.onnx

[ "$(grep -c '^### optim quantize' $summary)" -eq 3 ] || fail "$summary lacks a report"
say "Done: the models and $summary are in $demo"
