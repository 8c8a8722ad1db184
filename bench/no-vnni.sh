#!/bin/sh
# Shows what a processor without VNNI makes of integer weights: runs models for both targets under an emulated
# Haswell (AVX2 only) and compares their outputs with the float model's there.
#
#   bench/no-vnni.sh [SAMPLES]
#
# Needs qemu-user (qemu-x86_64) and the library in lib/ (make lib). Quality only: an emulator tells nothing of speed.
set -eu
cd "$(dirname "$0")/.."
samples=${1:-40}
out=bench/out/no-vnni
mkdir -p $out
OPTIM_ORT_LIB=$PWD/lib/libonnxruntime.so.1
export OPTIM_ORT_LIB
go build -o $out/optim ./cmd/optim # without vector instructions of its own, which an emulator may lack

source=testdata/models/resnet-tiny/resnet-tiny.onnx
for target in vnni avx2; do
	$out/optim quantize --int8 --force --quiet --measure off --target-cpu $target \
		--calib testdata/digits/calib.npz -o $out/$target.onnx $source >/dev/null
	for cpu in host Haswell-v4; do
		run="qemu-x86_64 -cpu $cpu"
		[ $cpu = host ] && run=
		printf '%s\n' "--target-cpu $target on $cpu"
		$run $out/optim eval --threads 1 --no-progress --metric cosine --against $source \
			--data testdata/digits/test.npz --eval-samples "$samples" $out/$target.onnx 2>/dev/null | grep cosine
	done
done
