"""Quantize one model with one recipe of onnxruntime.quantization; run by survey.py in a process of its own.

    python quantize.py TASK RECIPE OUTPUT

prints one JSON object: seconds of wall time and peak resident bytes of this process.
"""

import json
import logging
import os
import sys
import tempfile
import time

from onnxruntime.quantization import (
    CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_dynamic, quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

import tasks

S8, U8 = QuantType.QInt8, QuantType.QUInt8
METHODS = {
    "minmax": CalibrationMethod.MinMax, "percentile": CalibrationMethod.Percentile,
    "entropy": CalibrationMethod.Entropy,
}


class Reader(CalibrationDataReader):
    """Hands out a task's calibration samples one by one."""

    def __init__(self, samples):
        self.left = iter(samples)

    def get_next(self):
        return next(self.left, None)


def dynamic(weights, per_channel, ops=None):
    """A recipe that quantizes activations while the model runs."""
    def run(task, source, out):
        quantize_dynamic(source, out, op_types_to_quantize=ops, per_channel=per_channel, weight_type=weights,
                         extra_options={"MatMulConstBOnly": True})
    return run


def static(method, activations=U8, samples=128, ops=None, per_channel=True, options=None):
    """A recipe that calibrates activations beforehand and writes QuantizeLinear/DequantizeLinear pairs."""
    def run(task, source, out):
        quantize_static(source, out, Reader(task.calibration(samples)), quant_format=QuantFormat.QDQ,
                        op_types_to_quantize=ops, per_channel=per_channel, activation_type=activations,
                        weight_type=S8, calibrate_method=METHODS[method],
                        extra_options={"MatMulConstBOnly": True, **(options or {})})
    return run


def prepared(recipe):
    """The same recipe after quant_pre_process (shape inference, optimization), as the manual advises."""
    def run(task, source, out):
        with tempfile.TemporaryDirectory() as d:
            ready = os.path.join(d, "prepared.onnx")
            quant_pre_process(source, ready, skip_symbolic_shape=False)
            recipe(task, ready, out)
    return run


LINEAR = ["MatMul", "Gemm"]
RECIPES = {
    "dynamic default": dynamic(S8, False),
    "dynamic s8 per tensor": dynamic(S8, False, LINEAR),
    "dynamic s8 per channel": dynamic(S8, True, LINEAR),
    "dynamic u8 per tensor": dynamic(U8, False, LINEAR),
    "dynamic u8 per channel": dynamic(U8, True, LINEAR),
    "dynamic s8 per channel + Gather": dynamic(S8, True, LINEAR + ["Gather"]),
    "dynamic s8 per channel, prepared": prepared(dynamic(S8, True, LINEAR)),
    "static minmax": static("minmax"),
    "static minmax s8": static("minmax", S8, options={"ActivationSymmetric": True}),
    "static minmax per tensor": static("minmax", per_channel=False),
    "static percentile": static("percentile", samples=32),
    "static entropy": static("entropy", samples=32),
    "static minmax, prepared": prepared(static("minmax")),
    "static percentile, prepared": prepared(static("percentile", samples=32)),
    "static minmax, linear only": static("minmax", ops=LINEAR),
    "static percentile, linear only": static("percentile", samples=32, ops=LINEAR),
}


def peak_rss():
    """Peak resident bytes of this process (not getrusage, whose figure includes the parent's before exec)."""
    with open("/proc/self/status", encoding="ascii") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmHWM:"))


def main():
    task, recipe, out = tasks.find(sys.argv[1]), RECIPES[sys.argv[2]], sys.argv[3]
    logging.disable(logging.WARNING)  # that pre-processing would be better: it is a recipe of its own
    start = time.perf_counter()
    recipe(task, task.path, out)
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "peak_rss_bytes": peak_rss()}))


if __name__ == "__main__":
    main()
