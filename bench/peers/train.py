"""PyTorch's side of the training comparisons.

    python train.py fixture   losses of the first 100 steps and single optimizer steps, as JSON
                              (internal/train/testdata/pytorch.json was made so)
    python train.py time NAME one of mlp, gpt, cnn: milliseconds a step and peak memory, as JSON

Weights come from the ONNX files in testdata, batches in the order that is written here,
so that the Go tests can do the same steps.
"""

import json
import resource
import sys
import time

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import numpy_helper

torch.set_num_threads(2)
ROOT = __file__.rsplit("/bench/", 1)[0] + "/testdata/"


def weights(path):
    graph = onnx.load(ROOT + "models/" + path).graph
    out = {}
    for t in graph.initializer:
        a = numpy_helper.to_array(t)
        if a.dtype == np.float32 and a.size > 1:
            out[t.name] = torch.tensor(a.copy(), requires_grad=True)
    return out


def mlp(w, x):
    x = F.relu(F.linear(x.flatten(1), w["fc1.weight"], w["fc1.bias"]))
    x = F.relu(F.linear(x, w["fc2.weight"], w["fc2.bias"]))
    return F.linear(x, w["fc3.weight"], w["fc3.bias"])


def cnn(w, x):
    def conv(x, i, **kw):
        return F.conv2d(x, w[f"onnx::Conv_{i}"], w[f"onnx::Conv_{i + 1}"], **kw)

    x = F.relu(conv(x, 62, padding=1))
    x = F.relu(conv(x, 65, padding=1, stride=2))
    x = F.relu(conv(x, 68, padding=1, stride=2, groups=32))
    r = F.relu(conv(x, 71))
    x = F.relu(conv(r, 74, padding=1))
    x = F.relu(conv(x, 77, padding=1) + r)
    return F.linear(x.mean((2, 3)), w["fc.weight"], w["fc.bias"])


def gpt(w, ids, layers, heads):
    s = ids.shape[1]
    p = "m.transformer."
    head = next(v for k, v in w.items() if not k.startswith("m."))
    causal = torch.triu(torch.ones(s, s, dtype=torch.bool), 1)
    width = w[p + "wte.weight"].shape[1]

    def norm(x, name):
        return F.layer_norm(x, (width,), w[p + name + ".weight"], w[p + name + ".bias"])

    def dense(x, name):
        return x @ w[p + name + ".weight"] + w[p + name + ".bias"]

    x = w[p + "wte.weight"][ids] + w[p + "wpe.weight"][:s]
    for i in range(layers):
        h = f"h.{i}."
        q, k, v = dense(norm(x, h + "ln_1"), h + "attn.c_attn").split(width, -1)
        q, k, v = [t.view(*t.shape[:2], heads, -1).transpose(1, 2) for t in (q, k, v)]
        a = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).masked_fill(causal, float("-inf")).softmax(-1) @ v
        x = x + dense(a.transpose(1, 2).reshape(*ids.shape, width), h + "attn.c_proj")
        y = F.gelu(dense(norm(x, h + "ln_2"), h + "mlp.c_fc"), approximate="tanh")
        x = x + dense(y, h + "mlp.c_proj")
    return norm(x, "ln_f") @ head


def groups(w, decay):
    many = [v for v in w.values() if v.dim() > 1]
    one = [v for v in w.values() if v.dim() <= 1]
    return [{"params": many, "weight_decay": decay}, {"params": one, "weight_decay": 0.0}]


def digits(batch):
    z = np.load(ROOT + "digits/calib.npz")
    x, y = torch.tensor(z["input"]), torch.tensor(z["label"].astype(np.int64))

    def at(step):
        i = [(step * batch + j) % len(x) for j in range(batch)]
        return x[i], y[i]

    return at


def windows(batch, length):
    from tokenizers import Tokenizer

    text = open(ROOT + "text/valid.txt", encoding="utf-8", newline="").read()
    ids = Tokenizer.from_file(ROOT + "models/tinygpt/tokenizer.json").encode(text).ids
    n = len(ids) // length

    def at(step):
        rows = [(step * batch + j) % n for j in range(batch)]
        x = torch.tensor([ids[r * length:(r + 1) * length] for r in rows])
        y = torch.full_like(x, -100)
        y[:, :-1] = x[:, 1:]
        return x, y

    return at


def cases():
    def sgd(w):
        return torch.optim.SGD(groups(w, 1e-3), lr=0.05, momentum=0.9)

    def adamw(w, lr=1e-3):
        return torch.optim.AdamW(groups(w, 0.01), lr=lr)

    def adam(w):
        return torch.optim.Adam(groups(w, 1e-4), lr=5e-4)

    s, c, m = weights("tinygpt-s/tinygpt-s.onnx"), weights("mnist-cnn/mnist-cnn.onnx"), weights("digits-mlp/digits-mlp.onnx")
    return {
        "mlp-sgd": (m, mlp, digits(16), sgd(m), None, 0.0),
        "cnn-adam": (c, cnn, digits(16), adam(c), None, 0.0),
        # 10 steps of warm-up, then a cosine to 0; gradients clipped to 1
        "gpt-adamw": (s, lambda w, x: gpt(w, x, 2, 4), windows(4, 64), adamw(s), 10, 1.0),
    }


def fixture():
    out = {}
    for name, (w, model, batch, opt, warm, clip) in cases().items():
        rate = opt.param_groups[0]["lr"]
        losses = []
        for step in range(100):
            if warm is not None:
                t = step + 1
                f = t / warm if t <= warm else 0.5 * (1 + np.cos(np.pi * (t - 1 - warm) / (100 - warm)))
                for g in opt.param_groups:
                    g["lr"] = rate * f
            x, y = batch(step)
            logits = model(w, x)
            loss = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), y.reshape(-1))
            opt.zero_grad()
            loss.backward()
            if step == 0:
                norms = {k: float(v.grad.double().norm()) for k, v in w.items() if v.grad is not None}
            if clip:
                torch.nn.utils.clip_grad_norm_(list(w.values()), clip)
            opt.step()
            losses.append(float(loss))
        out[name] = {"losses": losses, "gradient_norms": norms}
    out["optimizers"] = optimizers()
    print(json.dumps(out, indent=1))


def optimizers():
    """Three steps of each optimizer on six numbers, with decay on all of them."""
    out = {}
    for name, make in {
        "adamw": lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.05),
        "adam": lambda p: torch.optim.Adam(p, lr=0.1, weight_decay=0.05),
        "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.05),
    }.items():
        w = torch.tensor([1.0, -2.0, 0.5, 3.0, -0.1, 0.0], requires_grad=True)
        x = torch.tensor([0.3, -0.7, 1.1, 0.2, -0.9, 0.4])
        opt = make([w])
        steps = []
        for _ in range(3):
            opt.zero_grad()
            (w * w * x).sum().backward()
            opt.step()
            steps.append(w.tolist())
        out[name] = steps
    return out


def timed(name):
    torch.manual_seed(0)
    if name == "mlp":
        a, b = torch.nn.Linear(768, 3072), torch.nn.Linear(3072, 768)
        w = {"a": a.weight, "b": b.weight, "c": a.bias, "d": b.bias}
        x, y = torch.randn(256, 768), torch.randn(256, 768)
        loss = lambda: F.mse_loss(F.relu(x @ a.weight.t() + a.bias) @ b.weight.t() + b.bias, y)
    elif name == "gpt":
        w = weights("tinygpt/tinygpt.onnx")
        x, y = windows(16, 128)(0)
        loss = lambda: F.cross_entropy(gpt(w, x, 4, 4).reshape(-1, 2048), y.reshape(-1))
    else:
        w = weights("mnist-cnn/mnist-cnn.onnx")
        x, y = digits(64)(0)
        loss = lambda: F.cross_entropy(cnn(w, x), y)
    opt = torch.optim.AdamW(groups(w, 0.01), lr=1e-4)
    times = []
    begin = time.perf_counter()
    while len(times) < 10 or time.perf_counter() - begin < 8:
        t = time.perf_counter()
        value = loss()
        opt.zero_grad()
        value.backward()
        opt.step()
        times.append((time.perf_counter() - t) * 1e3)
    times = times[3:]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"name": name, "milliseconds": times, "peak_rss_bytes": peak}))


if __name__ == "__main__":
    fixture() if sys.argv[1] == "fixture" else timed(sys.argv[2])
