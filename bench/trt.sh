#!/bin/sh
# What optim adds to a build by TensorRT-RTX: the same model and profile, built by a few lines of C++ and by
# "optim build-engine --precision fp32", in turn, RUNS times (5); seconds of the whole process and peak memory.
#
#   make trt-deps build-trt && bench/trt.sh MODEL
set -eu
cd "$(dirname "$0")/.."
model=${1:?usage: bench/trt.sh MODEL}
deps=$PWD/build/trt
headers=$deps/headers/0.9.1
out=bench/out/trt
mkdir -p "$out"
g++ -std=c++17 -O2 -w -isystem "$headers/TRT-RTX-1.7" -isystem "$headers" -o "$out/own" bench/trt/own.cpp -ldl
export OPTIM_TRT_LIB="$deps/lib"
: >"$out/times"
for _ in $(seq "${RUNS:-5}"); do
	echo "own $("$out/own" "$deps/lib" "$model" "$out/own.engine")" >>"$out/times"
	start=$(date +%s.%N)
	bin/optim-trt build-engine --precision fp32 --max-batch 8 --max-seq 128 --force --json -o "$out/optim.engine" "$model" >"$out/optim.json"
	end=$(date +%s.%N)
	peak=$(sed -n 's/.*"peak_rss_bytes": \([0-9]*\).*/\1/p' "$out/optim.json")
	echo "optim $(echo "$end $start" | awk '{printf "%.3f", $1 - $2}') $peak" >>"$out/times"
done
for who in own optim; do
	grep "^$who " "$out/times" | sort -k2 -n | awk -v who="$who" '{t[NR] = $2; if ($3 > m) m = $3} END {printf "%-6s median %.3f s (%.3f to %.3f), peak %.0f MB\n", who, t[int((NR + 1) / 2)], t[1], t[NR], m / 1e6}'
done
if cmp -s "$out/own.engine" "$out/optim.engine"; then echo "the engines are the same bytes"; else echo "the engines have $(cmp -l "$out/own.engine" "$out/optim.engine" | wc -l) different bytes"; fi
