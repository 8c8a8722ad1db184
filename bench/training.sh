#!/bin/sh
# A step of training here and in PyTorch: the same model, batch and optimizer (AdamW), one
# process each, in turn, three times. Needs a Python with bench/peers/requirements-train.txt.
#
#   bench/training.sh [PYTHON]
set -eu
cd "$(dirname "$0")/.."
python=${1:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
go build -o "$work/training" ./bench/training
for name in mlp gpt cnn; do
	for _ in 1 2 3; do
		"$work/training" $name testdata/models testdata lib/libonnxruntime.so.1 >>"$work/optim.json"
		"$python" bench/peers/train.py time $name >>"$work/torch.json"
	done
done
"$python" - "$work" <<'P'
import json, statistics, sys
def read(side):
    out = {}
    for line in open(f"{sys.argv[1]}/{side}.json"):
        d = json.loads(line)
        out.setdefault(d["name"], []).append(d)
    return out
ours, theirs = read("optim"), read("torch")
print("| model | optim, ms | PyTorch, ms | ratio | optim, MB | PyTorch, MB | first step |")
print("|---|---|---|---|---|---|---|")
for name in ours:
    a = [statistics.median(d["milliseconds"]) for d in ours[name]]
    b = [statistics.median(d["milliseconds"]) for d in theirs[name]]
    peak = lambda l: min(d["peak_rss_bytes"] for d in l) / 1e6
    first = min(d["first_step_s"] for d in ours[name])
    print(f"| {name} | {min(a):.1f} ({' '.join(f'{x:.1f}' for x in a)}) | {min(b):.1f} ({' '.join(f'{x:.1f}' for x in b)}) | {min(a)/min(b):.2f} | {peak(ours[name]):.0f} | {peak(theirs[name]):.0f} | {first:.2f} s |")
P
