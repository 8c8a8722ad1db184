"""Latency as optim bench and as a loop in Python measure it, on the same library, in turn.

Each round starts a process of either kind for every model (A B, B A, ...); each gives a median. The ratio of the
medians comes with Student's 95 % interval over the rounds, of the logarithms. Both sides run with ONNX Runtime's
defaults, the same number of threads and the same input.

    loop.py --optim bin/optim [--rounds 8] [--seconds 1] [--out FILE.md] MODEL...
"""

import argparse
import json
import math
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnxruntime as ort

T = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262, 11: 2.201, 15: 2.131, 19: 2.093}


def feed(path, seed=0):
    """Made-up input: ids inside a vocabulary of 2000, masks of ones, an empty cache, normal numbers for the rest."""
    rng = np.random.default_rng(seed)
    out = {}
    for i in ort.InferenceSession(path, providers=["CPUExecutionProvider"]).get_inputs():
        shape = [d if isinstance(d, int) else 0 if "past" in str(d) and "+" not in str(d) else 1 if k == 0 else 128
                 for k, d in enumerate(i.shape)]
        kind = {"tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(int32)": np.int32}[i.type]
        if kind == np.float32:
            out[i.name] = rng.standard_normal(shape, np.float32)
        elif "mask" in i.name:
            out[i.name] = np.ones(shape, kind)
        elif "position" in i.name:
            out[i.name] = np.tile(np.arange(shape[1], dtype=kind), (shape[0], 1))
        elif "type" in i.name:
            out[i.name] = np.zeros(shape, kind)
        else:
            out[i.name] = rng.integers(0, 2000, shape).astype(kind)
    return out


def child(path, data, seconds, threads, how):
    """The loop that people write: a session with default options, warmed up, timed run by run."""
    o = ort.SessionOptions()
    o.intra_op_num_threads, o.log_severity_level = threads, 3
    s = ort.InferenceSession(path, o, providers=["CPUExecutionProvider"])
    x = dict(np.load(data))
    if how == "run":
        names = [i.name for i in s.get_outputs()]

        def run():
            s.run(names, x)
    else:
        b = s.io_binding()
        values = {n: ort.OrtValue.ortvalue_from_numpy(v) for n, v in x.items()}
        for n, v in values.items():
            b.bind_ortvalue_input(n, v)
        for i, y in zip(s.get_outputs(), s.run(None, x)):
            b.bind_ortvalue_output(i.name, ort.OrtValue.ortvalue_from_numpy(y))

        def run():
            s.run_with_iobinding(b)
    start = time.perf_counter()
    while time.perf_counter() - start < 0.5:
        run()
    times, end = [], time.perf_counter() + seconds
    while len(times) < 20 or time.perf_counter() < end:
        t = time.perf_counter()
        run()
        times.append(time.perf_counter() - t)
    print(json.dumps(statistics.median(times) * 1e3))


def ours(optim, path, data, seconds, threads):
    args = [optim, "bench", path, "--data", data, "--json", "--restarts", "1", "--duration", f"{seconds}s", "--threads", str(threads)]
    return json.loads(subprocess.run(args, check=True, capture_output=True, text=True).stdout)["models"][0]["latency_ms"]["p50"]


def python(path, data, seconds, threads, how):
    args = [sys.executable, __file__, "--child", how, "--seconds", str(seconds), "--threads", str(threads), path, data]
    return float(subprocess.run(args, check=True, capture_output=True, text=True).stdout)


def peer(path, data, runs):
    """The mean that the runtime's own test tool reports with all threads, or None where it does not run the model."""
    shapes = {n: v.shape for n, v in np.load(data).items()}
    s = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    dims = {d: n for i in s.get_inputs() for d, n in zip(i.shape, shapes[i.name]) if isinstance(d, str)}
    args = [sys.executable, "-m", "onnxruntime.tools.onnxruntime_test"]
    args += ["--symbolic_dims", ",".join(f"{k}={v}" for k, v in dims.items()), "--", path, str(runs)]
    text = subprocess.run(args, capture_output=True, text=True).stdout
    found = re.search(r"avg latency: ([\d.e-]+) ms", text)
    return float(found.group(1)) if found else None


def interval(logs):
    m, half = statistics.mean(logs), T[len(logs) - 1] * statistics.stdev(logs) / math.sqrt(len(logs))
    return math.exp(m), math.exp(m - half), math.exp(m + half)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--optim")
    p.add_argument("--rounds", type=int, default=8, choices=sorted(k + 1 for k in T))
    p.add_argument("--seconds", type=float, default=1)
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--child")
    p.add_argument("--out")
    p.add_argument("models", nargs="+")
    a = p.parse_args()
    if a.child:
        return child(*a.models, a.seconds, a.threads, a.child)
    lines = ["| model | optim bench, ms | Python `run`, ms | Python bindings, ms | `run` / optim (95 %) | bindings / optim (95 %) | onnxruntime_test, mean ms |",
             "|---|---|---|---|---|---|---|"]
    for path in a.models:
        with tempfile.TemporaryDirectory() as d:
            data = os.path.join(d, "x.npz")
            np.savez(data, **feed(path))
            rounds = []
            for r in range(a.rounds):
                kinds = {"optim": lambda: ours(a.optim, path, data, a.seconds, a.threads),
                         "run": lambda: python(path, data, a.seconds, a.threads, "run"),
                         "bindings": lambda: python(path, data, a.seconds, a.threads, "bindings")}
                order = list(kinds) if r % 2 == 0 else list(kinds)[::-1]
                rounds.append({k: kinds[k]() for k in order})
            tool = peer(path, data, max(20, int(a.seconds * 1e3 / rounds[0]["run"])))
        mid = {k: statistics.median(x[k] for x in rounds) for k in rounds[0]}
        ratio = {k: interval([math.log(x[k] / x["optim"]) for x in rounds]) for k in ("run", "bindings")}
        text = {k: "{:.3f} ({:.3f} … {:.3f})".format(*v) for k, v in ratio.items()}
        tool = "fails" if tool is None else f"{tool:.4g}"
        lines.append(f"| {os.path.basename(path)} | {mid['optim']:.4g} | {mid['run']:.4g} | {mid['bindings']:.4g} | {text['run']} | {text['bindings']} | {tool} |")
        print(lines[-1], flush=True)
    if a.out:
        with open(a.out, "w", encoding="utf-8") as f:
            f.write("\n".join(lines) + "\n")


main()
