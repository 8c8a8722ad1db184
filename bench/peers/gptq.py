"""GPTQ as published (Frantar et al. 2022), in PyTorch, on a GPT-2 that bench/genmodel or tinygpt's exporter wrote.

    python gptq.py MODEL.onnx TEXT TOKENIZER SAMPLES WINDOW [--bits 4] [--block 128]

The reference for the time of `optim quantize --int4 --method gptq`: same weights, same windows of ids, layer after
layer with the quantized ones before, 4 bits in groups, damping 0.01, columns by descending diagonal with static groups.
Prints one JSON object: seconds in all, of them in Hessians and in solving, peak resident bytes.
"""

import argparse
import json
import math
import re
import resource
import time

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from tokenizers import Tokenizer

spent = {"hessian": 0.0, "solve": 0.0}


def weights(path):
    """The initializers by the names of GPT-2's parameters, in [inputs, outputs] as GPT-2 stores them."""
    found = {}
    for t in onnx.load(path).graph.initializer:
        name = re.sub(r"^(m\.)?(transformer\.)?", "", t.name).replace("wte.weight", "wte").replace("wpe.weight", "wpe")
        if re.match(r"(wte|wpe|h\.\d+|ln_f)", name):
            found[name] = torch.from_numpy(numpy_helper.to_array(t).copy())
    return found


class Solver:
    """The Hessian of one linear layer, and the published sweep over its columns."""

    def __init__(self, width):
        self.h, self.seen = torch.zeros(width, width), 0

    def add(self, x):
        start = time.perf_counter()
        x = x.reshape(-1, x.shape[-1]).t()
        n = x.shape[1]
        self.h *= self.seen / (self.seen + n)
        self.seen += n
        x = x * math.sqrt(2 / self.seen)
        self.h += x.matmul(x.t())
        spent["hessian"] += time.perf_counter() - start

    def solve(self, w, bits, block):
        """w is [outputs, inputs]; returns the rounded weight."""
        start = time.perf_counter()
        w, h, k = w.clone(), self.h, w.shape[1]
        dead = h.diagonal() == 0
        h[dead, dead] = 1
        w[:, dead] = 0
        top = 2**bits - 1
        groups = w.reshape(w.shape[0], -1, block)
        lo, hi = groups.amin(2).clamp(max=0), groups.amax(2).clamp(min=0)
        scale = ((hi - lo) / top).clamp(min=1e-10)
        zero = torch.round(-lo / scale)
        perm = torch.argsort(h.diagonal(), descending=True)
        w, h = w[:, perm], h[perm][:, perm]
        h += torch.eye(k) * (0.01 * h.diagonal().mean())
        u = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(h)), upper=True)
        q = torch.zeros_like(w)
        for first in range(0, k, 128):
            last = min(first + 128, k)
            part, errors, here = w[:, first:last].clone(), torch.zeros(w.shape[0], last - first), u[first:last, first:last]
            for i in range(last - first):
                column, g = part[:, i], perm[first + i] // block
                s, z = scale[:, g], zero[:, g]
                rounded = s * (torch.clamp(torch.round(column / s) + z, 0, top) - z)
                q[:, first + i] = rounded
                e = (column - rounded) / here[i, i]
                part[:, i:] -= e.unsqueeze(1).matmul(here[i, i:].unsqueeze(0))
                errors[:, i] = e
            w[:, last:] -= errors.matmul(u[first:last, last:])
        spent["solve"] += time.perf_counter() - start
        return q[:, torch.argsort(perm)]


class Block:
    """One layer of GPT-2; every linear layer shows its input to hook."""

    def __init__(self, p, i, heads):
        self.p = {n[len(f"h.{i}."):]: t for n, t in p.items() if n.startswith(f"h.{i}.")}
        self.heads, self.hook = heads, None

    def linear(self, name, x):
        if self.hook:
            self.hook(name, x)
        return x @ self.p[name + ".weight"] + self.p[name + ".bias"]

    def norm(self, name, x):
        return torch.nn.functional.layer_norm(x, x.shape[-1:], self.p[name + ".weight"], self.p[name + ".bias"])

    def __call__(self, x):
        b, s, w = x.shape
        qkv = self.linear("attn.c_attn", self.norm("ln_1", x)).split(w, 2)
        q, k, v = (t.reshape(b, s, self.heads, -1).transpose(1, 2) for t in qkv)
        a = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.linear("attn.c_proj", a.transpose(1, 2).reshape(b, s, w))
        m = torch.nn.functional.gelu(self.linear("mlp.c_fc", self.norm("ln_2", x)), approximate="tanh")
        return x + self.linear("mlp.c_proj", m)


def main():
    a = argparse.ArgumentParser()
    a.add_argument("model"), a.add_argument("text"), a.add_argument("tokenizer")
    a.add_argument("samples", type=int), a.add_argument("window", type=int)
    a.add_argument("--bits", type=int, default=4), a.add_argument("--block", type=int, default=128)
    a.add_argument("--heads", type=int, default=12)
    o = a.parse_args()
    ids = Tokenizer.from_file(o.tokenizer).encode(open(o.text, encoding="utf-8", newline="").read()).ids
    windows = torch.tensor(ids[:o.samples * o.window]).reshape(o.samples, 1, o.window)
    torch.set_grad_enabled(False)
    p = weights(o.model)
    start = time.perf_counter()
    xs = [p["wte"][w] + p["wpe"][:o.window] for w in windows]
    layers = 1 + max(int(n.split(".")[1]) for n in p if n.startswith("h."))
    for i in range(layers):
        block = Block(p, i, o.heads)
        for name in ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"):  # true-sequential
            solver = Solver(block.p[name + ".weight"].shape[0])
            block.hook = lambda n, x: solver.add(x) if n == name else None
            for x in xs:
                block(x)
            block.p[name + ".weight"] = solver.solve(block.p[name + ".weight"].t(), o.bits, o.block).t().contiguous()
        block.hook = None
        xs = [block(x) for x in xs]
    print(json.dumps({"seconds": time.perf_counter() - start, **spent, "threads": torch.get_num_threads(),
                      "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
                      "checksum": float(np.mean([float(x.square().mean()) for x in xs]))}))


if __name__ == "__main__":
    main()
