"""Outputs and gradients of single operators by PyTorch, for the tests of the gradient rules.

    go test ./internal/autodiff -run TestPyTorch -args -dump DIR
    python rules.py DIR > internal/autodiff/testdata/pytorch.json

Each case is a small ONNX graph that is run with PyTorch's own operators, in the precision
of the case's inputs, and differentiated by PyTorch.
"""

import json
import sys

import onnx
import torch
import torch.nn.functional as F
from onnx import helper, numpy_helper

OPS = {}


def op(*names):
    def add(f):
        for n in names:
            OPS[n] = f
        return f
    return add


def simple(name, f):
    OPS[name] = lambda a, *x: f(*x)


for name, f in {
    "Identity": lambda x: x.clone(), "Neg": torch.neg, "Abs": torch.abs, "Exp": torch.exp, "Log": torch.log, "Sqrt": torch.sqrt,
    "Reciprocal": torch.reciprocal, "Sin": torch.sin, "Cos": torch.cos, "Tanh": torch.tanh, "Sigmoid": torch.sigmoid,
    "Softplus": F.softplus, "Softsign": F.softsign, "Erf": torch.erf, "Relu": F.relu, "Selu": F.selu, "HardSwish": F.hardswish,
    "Mish": F.mish, "Add": torch.add, "Sub": torch.sub, "Mul": torch.mul, "Div": torch.div, "Pow": torch.pow, "MatMul": torch.matmul,
    "Where": torch.where, "Dropout": lambda x, *_: F.dropout(x, training=False), "Sum": lambda *x: sum(x),
    "Mean": lambda *x: sum(x) / len(x), "GlobalAveragePool": lambda x: F.adaptive_avg_pool2d(x, 1),
    "GlobalMaxPool": lambda x: F.adaptive_max_pool2d(x, 1), "com.microsoft::Gelu": F.gelu,
    "com.microsoft::FastGelu": lambda x, b: F.gelu(x + b, approximate="tanh"), "com.microsoft::BiasGelu": lambda x, b: F.gelu(x + b),
}.items():
    simple(name, f)

OPS["Einsum"] = lambda a, *x: torch.einsum(a["equation"], *x)
OPS["LeakyRelu"] = lambda a, x: F.leaky_relu(x, a["alpha"])
OPS["ThresholdedRelu"] = lambda a, x: F.threshold(x, a["alpha"], 0)
OPS["Elu"] = lambda a, x: F.elu(x, a["alpha"])
OPS["Celu"] = lambda a, x: F.celu(x, a["alpha"])
OPS["HardSigmoid"] = lambda a, x: torch.clamp(a["alpha"] * x + a.get("beta", 0.5), 0, 1)
OPS["PRelu"] = lambda a, x, s: F.prelu(x, s.flatten())
OPS["Clip"] = lambda a, x, lo=None, hi=None: torch.clamp(x, None if lo is None else lo.item(), None if hi is None else hi.item())
OPS["Cast"] = lambda a, x: x.to({1: torch.float32, 11: torch.float64}[a["to"]])
OPS["Max"] = lambda a, x, y: torch.maximum(x, y)
OPS["Min"] = lambda a, x, y: torch.minimum(x, y)
OPS["Softmax"] = lambda a, x: F.softmax(x, a.get("axis", -1))
OPS["LogSoftmax"] = lambda a, x: F.log_softmax(x, a.get("axis", -1))
OPS["Gelu"] = lambda a, x: F.gelu(x, approximate=a["approximate"])
OPS["com.microsoft::QuickGelu"] = lambda a, x: x * torch.sigmoid(a["alpha"] * x)
OPS["Reshape"] = lambda a, x, s: torch.reshape(x, s.tolist())
OPS["Flatten"] = lambda a, x: torch.flatten(x, a.get("axis", 1))
OPS["Squeeze"] = lambda a, x, s: torch.squeeze(x, s.tolist())
OPS["Unsqueeze"] = lambda a, x, s: torch.unsqueeze(x, s.item())
OPS["Expand"] = lambda a, x, s: x.expand(s.tolist())
OPS["Transpose"] = lambda a, x: x.permute(a.get("perm", list(range(x.dim()))[::-1]))
OPS["Concat"] = lambda a, *x: torch.cat(x, a["axis"])
OPS["Split"] = lambda a, x, s: torch.split(x, s.tolist(), a["axis"])
OPS["Tile"] = lambda a, x, s: torch.tile(x, s.tolist())
OPS["Trilu"] = lambda a, x: torch.triu(x) if a.get("upper", 1) else torch.tril(x)
OPS["GatherElements"] = lambda a, x, i: torch.gather(x, a["axis"], i % x.shape[a["axis"]])
OPS["GatherND"] = lambda a, x, i: x[tuple(i.T)]


@op("Gemm")
def gemm(a, x, y, c=None):
    x, y = (x.T if a.get("transA") else x), (y.T if a.get("transB") else y)
    out = a.get("alpha", 1.0) * torch.mm(x, y)
    return out if c is None else out + a.get("beta", 1.0) * c


@op("Slice")
def cut(a, x, starts, ends, axes, steps=None):
    for i, axis in enumerate(axes.tolist()):
        step = 1 if steps is None else steps[i].item()
        places = range(x.shape[axis])[slice(starts[i].item(), ends[i].item(), step)]
        x = torch.index_select(x, axis, torch.tensor(list(places)))
    return x


@op("Pad")
def pad(a, x, pads):
    n = x.dim()
    p = pads.tolist()
    return F.pad(x, [v for i in reversed(range(n)) for v in (p[i], p[i + n])])


@op("DepthToSpace")
def depth_to_space(a, x):
    s = a["blocksize"]
    if a.get("mode", "DCR") == "CRD":
        return F.pixel_shuffle(x, s)
    n, c, h, w = x.shape  # pixel_shuffle has the block's place behind the channel
    return F.pixel_shuffle(x.reshape(n, s * s, c // (s * s), h, w).transpose(1, 2).reshape(n, c, h, w), s)


@op("SpaceToDepth")
def space_to_depth(a, x):
    s = a["blocksize"]
    n, c, h, w = x.shape
    return F.pixel_unshuffle(x, s).reshape(n, c, s * s, h // s, w // s).transpose(1, 2).reshape(n, c * s * s, h // s, w // s)


@op("Gather")
def gather(a, x, i):
    axis = a.get("axis", 0) % x.dim()
    out = torch.index_select(x, axis, (i % x.shape[axis]).flatten())
    return out.reshape(x.shape[:axis] + i.shape + x.shape[axis + 1:])


@op("ScatterElements")
def scatter(a, x, i, u):
    f = torch.scatter_add if a.get("reduction") == "add" else torch.scatter
    return f(x, a["axis"], i, u)


@op("CumSum")
def cumsum(a, x, axis):
    axis = axis.item()
    y = torch.flip(x, [axis]) if a.get("reverse") else x
    y = torch.cumsum(y, axis) - (y if a.get("exclusive") else 0)
    return torch.flip(y, [axis]) if a.get("reverse") else y


def reduction(f):
    def run(a, x, axes=None):
        dims = list(range(x.dim())) if axes is None or not len(axes) else [d % x.dim() for d in axes.tolist()]
        return f(x, dims, bool(a.get("keepdims", 1)))
    return run


def product(x, dims, keep):
    for d in sorted(dims, reverse=True):
        x = torch.prod(x, d, keepdim=keep)
    return x


for name, f in {
    "ReduceSum": lambda x, d, k: torch.sum(x, d, keepdim=k), "ReduceMean": lambda x, d, k: torch.mean(x, d, keepdim=k),
    "ReduceSumSquare": lambda x, d, k: torch.sum(x * x, d, keepdim=k), "ReduceL1": lambda x, d, k: torch.linalg.vector_norm(x, 1, d, k),
    "ReduceL2": lambda x, d, k: torch.linalg.vector_norm(x, 2, d, k), "ReduceProd": product,
    "ReduceLogSum": lambda x, d, k: torch.log(torch.sum(x, d, keepdim=k)), "ReduceLogSumExp": lambda x, d, k: torch.logsumexp(x, d, k),
    "ReduceMax": lambda x, d, k: torch.amax(x, d, k), "ReduceMin": lambda x, d, k: torch.amin(x, d, k),
}.items():
    OPS[name] = reduction(f)


@op("LayerNormalization")
def layer_norm(a, x, w, b=None):
    axis = a.get("axis", -1) % x.dim()
    return F.layer_norm(x, x.shape[axis:], w, b, a["epsilon"])


OPS["SimplifiedLayerNormalization"] = lambda a, x, w: F.rms_norm(x, x.shape[-1:], w, a["epsilon"])
OPS["InstanceNormalization"] = lambda a, x, w, b: F.instance_norm(x, weight=w, bias=b, eps=a["epsilon"])
OPS["GroupNormalization"] = lambda a, x, w, b: F.group_norm(x, a["num_groups"], w, b, a["epsilon"])
OPS["BatchNormalization"] = lambda a, x, w, b, m, v: F.batch_norm(x, m, v, w, b, False, eps=a.get("epsilon", 1e-5))


def padding(a, x, kernel):
    """Before and after each axis, as auto_pad or pads says."""
    n = len(kernel)
    auto = a.get("auto_pad", "NOTSET")
    if not auto.startswith("SAME"):
        p = a.get("pads", [0] * 2 * n)
        return p[:n], p[n:]
    before, after = [], []
    for i in range(n):
        stride, size = a.get("strides", [1] * n)[i], x.shape[i + 2]
        spare = max((-(-size // stride) - 1) * stride + kernel[i] - size, 0)
        less, more = spare // 2, spare - spare // 2
        before.append(less if auto == "SAME_UPPER" else more)
        after.append(more if auto == "SAME_UPPER" else less)
    return before, after


def padded(a, x, kernel, value=0.0):
    before, after = padding(a, x, kernel)
    return F.pad(x, [v for i in reversed(range(len(kernel))) for v in (before[i], after[i])], value=value)


@op("Conv")
def conv(a, x, w, b=None):
    n = w.dim() - 2
    f = (F.conv1d, F.conv2d, F.conv3d)[n - 1]
    return f(padded(a, x, w.shape[2:]), w, b, a.get("strides", [1] * n), 0, a.get("dilations", [1] * n), a.get("group", 1))


@op("ConvTranspose")
def conv_transpose(a, x, w, b=None):
    pads = a.get("pads", [0, 0, 0, 0])
    assert pads[:2] == pads[2:]
    return F.conv_transpose2d(x, w, b, a.get("strides", 1), pads[:2], a.get("output_padding", 0), a.get("group", 1), a.get("dilations", 1))


@op("MaxPool")
def max_pool(a, x):
    return F.max_pool2d(padded(a, x, a["kernel_shape"], -torch.inf), a["kernel_shape"], a.get("strides", [1, 1]))


@op("AveragePool")
def average_pool(a, x):
    """PyTorch pads evenly and rounds up on its own terms, so the sums are its own and what
    they are divided by is counted."""
    kernel, strides = a["kernel_shape"], a.get("strides", [1, 1])
    before, after = padding(a, x, kernel)
    ones = torch.ones_like(x)
    if a.get("count_include_pad"):
        ones = padded(a, ones, kernel, 1.0)
        before_ones, after_ones = [0, 0], [0, 0]
    else:
        before_ones, after_ones = before, after
    if a.get("ceil_mode"):
        for i in range(2):
            rest = (x.shape[i + 2] + before[i] + after[i] - kernel[i]) % strides[i]
            more = (strides[i] - rest) % strides[i]
            after, after_ones = list(after), list(after_ones)
            after[i], after_ones[i] = after[i] + more, after_ones[i] + more
    window = lambda v, b, e: F.avg_pool2d(F.pad(v, [b[1], e[1], b[0], e[0]]), kernel, strides)
    return window(x, before, after) / window(ones, before_ones, after_ones)


@op("Resize")
def resize(a, x, roi=None, scales=None, sizes=None):
    mode, where = a["mode"], a.get("coordinate_transformation_mode", "half_pixel")
    size = sizes.tolist()[2:] if sizes is not None else None
    factor = scales.tolist()[2:] if scales is not None else None
    if mode == "nearest":
        return nearest(x, size, where, a.get("nearest_mode", "round_prefer_floor"))
    return F.interpolate(x, size, factor, {"linear": "bilinear", "cubic": "bicubic"}[mode], align_corners=where == "align_corners")


def nearest(x, size, where, rounding):
    if where == "asymmetric" and rounding == "floor":
        return F.interpolate(x, size, mode="nearest")
    for axis, n in zip((2, 3), size):  # half to the lower, which PyTorch's nearest-exact has not
        old = x.shape[axis]
        at = (torch.arange(n, dtype=torch.float64) + 0.5) * old / n - 0.5
        x = torch.index_select(x, axis, torch.ceil(at - 0.5).long().clamp(0, old - 1))
    return x


def run(model, values):
    g = model.graph
    values = dict(values)
    for t in g.initializer:
        values[t.name] = torch.tensor(numpy_helper.to_array(t).copy())
    for node in g.node:
        name = f"{node.domain}::{node.op_type}" if node.domain else node.op_type
        attrs = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        attrs = {k: v.decode() if isinstance(v, bytes) else v for k, v in attrs.items()}
        if name == "Constant":
            values[node.output[0]] = torch.tensor(numpy_helper.to_array(attrs["value"]).copy())
            continue
        out = OPS[name](attrs, *[values[v] if v else None for v in node.input])
        for v, t in zip(node.output, out if isinstance(out, tuple) else [out]):
            values[v] = t
    return values


def numbers(t):
    return [float(f"{x:.12g}") for x in t.detach().flatten().tolist()]


def trained_norm(case):
    """tanh of a batch normalization in training; with its running statistics."""
    v = {k: torch.tensor(x) for k, x in case["inputs"].items()}
    x = v["x"].reshape(3, 2, 2).requires_grad_()
    w, b = v["gamma"].requires_grad_(), v["beta"].requires_grad_()
    out = torch.tanh(F.batch_norm(x, v["mean"], v["var"], w, b, True, momentum=0.1))
    dx, dw, db = torch.autograd.grad(out, [x, w, b], torch.tensor(case["seed"]).reshape(out.shape))
    return {"out": numbers(out), "grads": {"x": numbers(dx), "gamma": numbers(dw), "beta": numbers(db),
                                           "next.mean": numbers(v["mean"]), "next.var": numbers(v["var"])}}


def main():
    folder = sys.argv[1]
    answers = {}
    for title, case in json.load(open(f"{folder}/cases.json")).items():
        if title == "BatchNormalization/training":
            answers[title] = trained_norm(case)
            continue
        model = onnx.load(f"{folder}/{title.replace('/', '_').replace(':', '_')}.onnx")
        single = case.get("single", False)
        inputs = {}
        for v in model.graph.input:
            shape = [d.dim_value for d in v.type.tensor_type.shape.dim]
            x = torch.tensor(case["inputs"][v.name], dtype=torch.float64).reshape(shape)
            inputs[v.name] = x.to(torch.float32 if single else torch.float64).requires_grad_()
        out = run(model, inputs)[model.graph.output[0].name]
        seed = torch.tensor(case["seed"], dtype=out.dtype).reshape(out.shape)
        grads = torch.autograd.grad(out, list(inputs.values()), seed)
        answers[title] = {"out": numbers(out), "grads": {k: numbers(g) for k, g in zip(inputs, grads)}}
    print("{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v, separators=(',', ':'))}" for k, v in answers.items()) + "\n}")


main()
