#!/bin/sh
# Latency as optim bench measures it against a loop in Python on the same library, for every model of ../shared/models
# (or those that are named), and what a run costs beyond the runtime's own call:
#
#   bench/loop.sh [--rounds 8] [--seconds 1] [MODEL...]
#
# Needs Go and Python 3.10 or later. Results are written to bench/out/loop.md.
set -eu
cd "$(dirname "$0")/.."
. bench/setup.sh

options=
while [ $# -gt 0 ]; do
	case $1 in
	--rounds | --seconds)
		options="$options $1 $2"
		shift 2
		;;
	*) break ;;
	esac
done
[ $# -gt 0 ] || set -- ../shared/models/*/*.onnx
# shellcheck disable=SC2086 # a list of words
$python bench/peers/loop.py --optim $out/optim $options --out $out/loop.md "$@"
echo
echo "A run of digits-mlp, in the timing loop, by a call of a binding from Go, and by a call of a session from Go:"
go test -run '^$' -bench Harness -count 5 ./internal/ort | grep Harness
