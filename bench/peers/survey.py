"""The peers' INT8 models: every recipe on every model, with quality, size, speed and kernels.

    python survey.py [--models a,b] [--recipes REGEX] [--seconds 3] [--busy] [--keep FOLDER] OUT.json

Writes OUT.json and prints a Markdown table. The recipes run in processes of their own, the timings in
this one, interleaved with the float model.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile

import quantize
import tasks
import timing

HERE = os.path.dirname(os.path.abspath(__file__))


def size(path):
    """Bytes of a model with its external data."""
    return sum(os.path.getsize(p) for p in (path, path + ".data") if os.path.exists(p))


def make(task, recipe, out):
    """Run one recipe; its cost, or {"error": last line} when it failed."""
    p = subprocess.run([sys.executable, os.path.join(HERE, "quantize.py"), task.key, recipe, out],
                       capture_output=True, text=True)
    if p.returncode or not os.path.exists(out):
        lines = [line for line in p.stderr.splitlines() if line.strip()]
        return {"error": lines[-1][:200] if lines else f"exit status {p.returncode}"}
    return json.loads(p.stdout.splitlines()[-1])


def measure(task, recipe, out, seconds, busy):
    """One row of the survey."""
    row = {"model": task.name, "recipe": recipe, **make(task, recipe, out)}
    if "error" in row:
        return row
    row["bytes"] = size(out)
    try:
        row["kernels"] = timing.kernels(out, next(iter(task.feeds().values())))
        row["quality"] = task.quality(out)
        row["speed"] = {k: v[0] for k, v in timing.compare([task.path, out], task.feeds(), seconds, busy).items()}
    except Exception as e:  # a model that the runtime refuses is a result, too
        row["error"] = str(e).splitlines()[0][:200]
    return row


def line(row):
    """The row as Markdown."""
    if "error" in row:
        return f"| {row['model']} | {row['recipe']} | {row['error']} |||||"
    speed = "; ".join(f"{k}: {v['speedup']:.2f} ({v['low']:.2f}–{v['high']:.2f})" for k, v in row["speed"].items())
    kernels = ", ".join(f"{v} {k}" for k, v in row["kernels"].items())
    cost = f"{row['seconds']:.1f} s, {row['peak_rss_bytes'] / 2**20:.0f} MiB"
    return (f"| {row['model']} | {row['recipe']} | {row['quality']:.4f} | {row['bytes'] / 1e6:.2f} MB | {speed} "
            f"| {kernels} | {cost} |")


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--models", default="", help="comma-separated; all by default")
    p.add_argument("--recipes", default=".", help="regular expression")
    p.add_argument("--seconds", type=float, default=3.0, help="of timing for each feed")
    p.add_argument("--busy", action="store_true", help="the machine is loaded: count processor time of one thread")
    p.add_argument("--keep", help="folder for the models made")
    p.add_argument("out")
    a = p.parse_args()
    chosen = [tasks.find(n) for n in a.models.split(",")] if a.models else tasks.all_tasks()
    rows = []
    print("| model | recipe | quality | size | speed-up (95 %) | kernels | cost |\n|---|---|---:|---:|---|---|---|")
    with tempfile.TemporaryDirectory() as d:
        folder = a.keep or d
        os.makedirs(folder, exist_ok=True)
        for task in chosen:
            print(f"| {task.name} | float | {task.quality(task.path):.4f} | {size(task.path) / 1e6:.2f} MB ||||", flush=True)
            for recipe in filter(re.compile(a.recipes).search, quantize.RECIPES):
                out = os.path.join(folder, f"{task.name}.{re.sub('[^a-z0-9]+', '-', recipe.lower())}.onnx")
                rows.append(measure(task, recipe, out, a.seconds, a.busy))
                print(line(rows[-1]), flush=True)
                with open(a.out, "w") as f:
                    json.dump(rows, f, indent=1)


if __name__ == "__main__":
    main()
