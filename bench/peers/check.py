"""Checks models as others see them: onnx.checker, and ONNX Runtime with its optimizations off, basic and all.

    python check.py MODEL...      one line each; exits 1 where one fails with all optimizations or the checker

Symbolic sizes are 2, inputs ones.
"""

import sys

import numpy as np
import onnx
import onnxruntime as ort

LEVELS = {"off": ort.GraphOptimizationLevel.ORT_DISABLE_ALL, "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC, "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL}
TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(int64)": np.int64, "tensor(int32)": np.int32}


def checked(path):
    try:
        onnx.checker.check_model(path)
        return "ok"
    except Exception as e:
        return str(e).splitlines()[0][:120]


def runs(path, level):
    options = ort.SessionOptions()
    options.graph_optimization_level, options.log_severity_level = level, 3
    try:
        session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        feeds = {i.name: np.ones([d if isinstance(d, int) else 2 for d in i.shape], TYPES[i.type]) for i in session.get_inputs()}
        finite = all(np.isfinite(np.asarray(x, np.float32)).all() for x in session.run(None, feeds))
        return "ok" if finite else "not finite"
    except Exception as e:
        return str(e).splitlines()[0][:120]


failed = False
for path in sys.argv[1:]:
    said = {"checker": checked(path), **{name: runs(path, level) for name, level in LEVELS.items()}}
    print(path.rsplit("/", 1)[-1], ", ".join(f"{k}: {v}" for k, v in said.items()))
    failed = failed or said["checker"] != "ok" or said["all"] != "ok"
sys.exit(failed)
