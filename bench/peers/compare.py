"""Compare models with their float original: quality, bytes, kernels, and speed interleaved in one process.

    python compare.py [--seconds 4] [--busy] [--json FILE] TASK NAME=FILE...

TASK is a model of the survey or a float model's file (then made inputs, and the cosine of its first
output). Prints one Markdown row for each file; the float model is the base of every ratio.
"""

import argparse
import json

import survey
import tasks
import timing

HEAD = ("| model | made by | quality | bytes | speed-up (95 % interval) | integer kernels |\n"
        "|---|---|---:|---:|---|---|")


def compare(task, files, seconds, busy=False):
    """One dict for each of files ({name: path}), and one for the float model, first."""
    rows = [{"model": task.name, "by": "float", "path": task.path, "speed": {}}]
    rows += [{"model": task.name, "by": k, "path": v, "speed": {}} for k, v in files.items()]
    first = next(iter(task.feeds().values()))
    for row in rows:
        row["bytes"] = survey.size(row["path"])
        row["metric"], row["quality"] = task.metric, task.quality(row["path"])
        row["kernels"] = timing.kernels(row["path"], first)
    for feed, ratios in timing.compare([r["path"] for r in rows], task.feeds(), seconds, busy).items():
        rows[0]["speed"][feed] = {"base_ms": ratios[0]["base_ms"]} if ratios else {}
        for row, ratio in zip(rows[1:], ratios):
            row["speed"][feed] = ratio
    return rows


def markdown(row):
    """The row as Markdown; the float model's speed is its time."""
    def cell(feed, v):
        if "speedup" in v:
            return f"{feed}: {v['speedup']:.2f} ({v['low']:.2f}–{v['high']:.2f})"
        return f"{feed}: {v['base_ms']:.3g} ms"
    speed = "; ".join(cell(k, v) for k, v in row["speed"].items() if v)
    kernels = ", ".join(f"{n} {op}" for op, n in row["kernels"].items())
    return f"| {row['model']} | {row['by']} | {row['quality']:.4f} | {row['bytes']} | {speed} | {kernels} |"


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--seconds", type=float, default=4.0, help="of timing for each input")
    p.add_argument("--busy", action="store_true", help="the machine is loaded: count processor time of one thread")
    p.add_argument("--json", help="file for the rows")
    p.add_argument("task")
    p.add_argument("files", nargs="+", metavar="NAME=FILE")
    a = p.parse_args()
    rows = compare(tasks.find(a.task), dict(f.split("=", 1) for f in a.files), a.seconds, a.busy)
    print(HEAD)
    for row in rows:
        print(markdown(row))
    if a.json:
        with open(a.json, "w", encoding="utf-8") as f:
            json.dump(rows, f, indent=1)


if __name__ == "__main__":
    main()
