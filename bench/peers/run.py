"""The whole comparison: cost of quantizing, size, quality and speed of our models and of the peers'.

    python run.py --optim bin/optim [--models a,b] [--seconds 4] [--busy] OUTDIR

Every model is made by a command of its own under cost.py; `cp` of the float file and `sync` of the copy is
the floor of what a tool that writes a file can cost. Writes OUTDIR/results.json after each model and
OUTDIR/results.md in the end. bench/run.sh prepares what this needs.
"""

import argparse
import datetime
import json
import os
import platform
import re
import subprocess
import sys

import compare
import cost
import tasks
import timing

HERE = os.path.dirname(os.path.abspath(__file__))


def slug(text):
    return re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")


def is_convolutional(task):
    """Whether the model has Conv, for which the fast integer kernels need calibration."""
    return any("Conv" in op for op in timing.kernels(task.path, next(iter(task.feeds().values()))))


def commands(task, optim, folder):
    """{name: (output, command)} of everything that makes a model from this float one."""
    def output(name):
        return os.path.join(folder, f"{task.name}.{slug(name)}.onnx")

    def ours(name, flags):
        out = output(name)
        return out, [optim, "quantize", "--int8", "--force", "--no-progress", *flags, "-o", out, task.path]

    def peer(recipe):
        out = output("ort " + recipe)
        return out, [sys.executable, os.path.join(HERE, "quantize.py"), task.key, recipe, out]

    always, calibration, evaluation = task.flags()
    made, recipes = {}, []
    if is_convolutional(task):
        recipes = ["static minmax", "static percentile"]
    else:
        made["optim dynamic"] = ours("optim dynamic", always)
        recipes = ["dynamic s8 per channel", "dynamic s8 per channel + Gather", "static minmax, linear only"]
    made["optim static"] = ours("optim static", always + calibration)
    if evaluation:
        made["optim static, gated"] = ours("optim static gated", always + calibration + evaluation)
    return {**made, **{"ORT " + r: peer(r) for r in recipes}}


def copy_cost(task, folder):
    """Seconds of cp and sync of the float model's files, their pages warm, as the least of three."""
    files = [p for p in (task.path, task.path + ".data") if os.path.exists(p)]
    target = os.path.join(folder, "copy")
    script = f'for f in "$@"; do cp "$f" {target} && sync {target} && rm {target} || exit 1; done'
    return min(cost.cost(["sh", "-c", script, "sh", *files])["seconds"] for _ in range(3))


def run(task, optim, folder, seconds, busy):
    """All rows of one model; a command that fails is a row with its exit status."""
    rows, files = [], {}
    for name, (out, command) in commands(task, optim, folder).items():
        print("+", " ".join(command), file=sys.stderr, flush=True)
        for old in (out, out + ".data"):
            if os.path.exists(old):
                os.remove(old)
        row = {"by": name, **cost.cost(command, stdout=2)}
        rows.append(row)
        if row["exit"] == 0:
            files[name] = out
    measured = {r["by"]: r for r in compare.compare(task, files, seconds, busy)}
    first = {"by": "float", "copy_seconds": copy_cost(task, folder)}
    return [{**row, **measured.get(row["by"], {}), "model": task.name} for row in [first, *rows]]


def environment(optim, busy):
    """The machine and the versions, for the report's head."""
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        info = f.read()
    model = re.search(r"model name\s*: (.*)", info)
    flags = re.search(r"flags\s*: (.*)", info)
    wanted = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "avx512_bf16")
    import onnxruntime
    version = subprocess.run([optim, "version"], capture_output=True, text=True).stdout.strip()
    return {
        "cpu": model.group(1) if model else platform.machine(), "cores": os.cpu_count(),
        "features": [f for f in wanted if flags and f in flags.group(1).split()],
        "onnxruntime": onnxruntime.__version__, "optim": version.splitlines()[0] if version else "",
        "load": os.getloadavg()[0], "busy": busy, "date": datetime.date.today().isoformat(),
    }


def markdown(row):
    """One row of the final table."""
    if row["by"] == "float":
        made = f"cp + sync {row['copy_seconds']:.2f} s |"
    else:
        made = f"{row['seconds']:.2f} s | {row['peak_rss_bytes'] / 2**20:.0f} MiB"
    if "kernels" not in row:
        return f"| {row['model']} | {row['by']} | exit {row['exit']} |||| {made} |"
    return compare.markdown(row) + f" {made} |"


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--optim", required=True, help="our binary")
    p.add_argument("--models", default="", help="comma-separated names or files; all named ones by default")
    p.add_argument("--seconds", type=float, default=4.0, help="of timing for each input")
    p.add_argument("--busy", action="store_true", help="the machine is loaded: count processor time of one thread")
    p.add_argument("out", help="folder for models and results")
    a = p.parse_args()
    env = environment(a.optim, a.busy)
    chosen = [tasks.find(n) for n in a.models.split(",")] if a.models else tasks.all_tasks()
    rows = []
    for task in chosen:
        rows += run(task, a.optim, a.out, a.seconds, a.busy)
        with open(os.path.join(a.out, "results.json"), "w", encoding="utf-8") as f:
            json.dump({"environment": env, "rows": rows}, f, indent=1)
    with open(os.path.join(a.out, "results.md"), "w", encoding="utf-8") as f:
        f.write(f"{env['cpu']}, {env['cores']} cores, {' '.join(env['features'])}; ONNX Runtime {env['onnxruntime']}, "
                f"{env['optim']}; {env['date']}, load {env['load']:.1f} at the start"
                f"{', processor time of one thread' if env['busy'] else ''}\n\n")
        f.write(compare.HEAD.replace("kernels |\n", "kernels | time to make | peak memory |\n") + "---|---|\n")
        f.writelines(markdown(r) + "\n" for r in rows)
    print(os.path.join(a.out, "results.md"))


if __name__ == "__main__":
    main()
