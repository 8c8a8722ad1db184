"""Interleaved timing of sessions in one process, and what the runtime made of a model.

Two sessions in one process disturb each other: the idle thread pool of the one spins while the other
works. Every session here therefore stops spinning when its run ends, and the models take turns
(A B C, C B A, ...), so that a change of the machine's load meets all of them.
"""

import collections
import json
import os
import tempfile
import time

import numpy as np
import onnxruntime as ort

# Operators that compute on integers; the rest of the graph is float or bookkeeping.
INTEGER_KERNELS = (
    "QLinearConv", "ConvInteger", "QLinearMatMul", "QGemm", "MatMulInteger", "MatMulIntegerToFloat",
    "DynamicQuantizeMatMul", "MatMulNBits", "QAttention", "QLinearAdd", "QLinearMul",
    "QLinearGlobalAveragePool", "DynamicQuantizeLSTM", "QEmbedLayerNormalization",
)
CONVERSIONS = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear")
FLOAT_PRODUCTS = ("MatMul", "FusedMatMul", "Gemm", "FusedGemm", "Conv", "FusedConv")


def session(path, threads=2, profile=None):
    """Open a session as every measurement here opens it."""
    o = ort.SessionOptions()
    o.intra_op_num_threads = threads
    o.log_severity_level = 3
    o.add_session_config_entry("session.force_spinning_stop", "1")
    if profile:
        o.enable_profiling, o.profile_file_prefix = True, profile
    return ort.InferenceSession(path, o, providers=["CPUExecutionProvider"])


def kernels(path, feed):
    """Count the integer kernels, conversions and float products that one run executes, fused as they are."""
    with tempfile.TemporaryDirectory() as d:
        s = session(path, profile=os.path.join(d, "p"))
        s.run(None, feed)
        with open(s.end_profiling(), encoding="utf-8") as f:
            events = json.load(f)
    count = collections.Counter(
        e["args"]["op_name"] for e in events if e.get("cat") == "Node" and e["name"].endswith("_kernel_time"))
    kept = {k: count[k] for k in INTEGER_KERNELS + CONVERSIONS if count[k]}
    return kept | {"float " + op: count[op] for op in FLOAT_PRODUCTS if count[op]}


def interleave(runs, seconds=4.0, warmup=0.4, least=12, clock=time.perf_counter):
    """Time callables in turn, forwards and backwards, and return one array of seconds for each.

    The shortest sample is about 2 ms: quicker callables are repeated inside a sample and divided.
    """
    repeat = []
    for run in runs:
        n, start = 0, time.perf_counter()
        while n < 3 or time.perf_counter() - start < warmup:
            run()
            n += 1
        start = time.perf_counter()
        for _ in range(3):
            run()
        repeat.append(max(1, int(2e-3 / max((time.perf_counter() - start) / 3, 1e-7))))
    times = [[] for _ in runs]
    start, order = time.perf_counter(), list(range(len(runs)))
    while len(times[0]) < least or time.perf_counter() - start < seconds:
        for i in order:
            t = clock()
            for _ in range(repeat[i]):
                runs[i]()
            times[i].append((clock() - t) / repeat[i])
        order.reverse()
    return [np.array(t) for t in times]


def ratio(a, b, resamples=2000, seed=0):
    """The ratio of medians a/b with its 95 % bootstrap interval; rounds are resampled in pairs.

    least_speedup is the ratio of the shortest times: on a loaded machine it is steadier than the medians.
    """
    rng = np.random.default_rng(seed)
    pick = rng.integers(0, len(a), (resamples, len(a)))
    r = np.median(a[pick], axis=1) / np.median(b[pick], axis=1)
    low, high = np.percentile(r, [2.5, 97.5])
    return {
        "speedup": float(np.median(a) / np.median(b)), "low": float(low), "high": float(high),
        "base_ms": float(np.median(a) * 1e3), "other_ms": float(np.median(b) * 1e3), "rounds": len(a),
        "least_speedup": float(a.min() / b.min()),
    }


def compare(paths, feeds, seconds=4.0, busy=False):
    """Time the models at paths on the same feed, for each named feed; the first one is the base.

    On a busy machine, sessions run in the calling thread alone and its processor time is counted, not the
    clock's: time that other processes take does not count. Returns {feed name: [ratio to the base, one for
    each further path]}.
    """
    clock, threads = (time.thread_time, 1) if busy else (time.perf_counter, 2)
    sessions = [session(p, threads) for p in paths]
    out = {}
    for name, feed in feeds.items():
        runs = [lambda s=s: s.run(None, feed) for s in sessions]
        times = interleave(runs, seconds, clock=clock)
        out[name] = [ratio(times[0], t) for t in times[1:]]
    return out
