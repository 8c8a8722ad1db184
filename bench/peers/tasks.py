"""The models under test: where they are, what they are calibrated and timed with, how good they are.

A task has a name, a key that find() takes, the path of its float model, calibration samples, inputs for
timing (feeds) and a metric (quality). Perplexity is defined in the README of
tinygpt, accuracy in that of the vision models, cosine is between the mean-pooled embeddings of the
float model and of the quantized one.
"""

import functools
import os

import numpy as np
from tokenizers import Tokenizer

from timing import session


def shared():
    """The folder with models and data, beside the repository; OPTIM_SHARED names another one."""
    here = os.path.dirname(os.path.abspath(__file__))
    return os.environ.get("OPTIM_SHARED") or os.path.normpath(os.path.join(here, "../../../shared"))


class Vision:
    """A classifier of 28 x 28 digits; the metric is top-1 accuracy on the test pictures."""

    metric = "accuracy"

    def __init__(self, name):
        folder = name[:-3] if name.endswith("-bn") else name
        self.name, self.key, self.path = name, name, os.path.join(shared(), "models", folder, name + ".onnx")

    def flags(self):
        """What our own command is told: (always, to calibrate, to evaluate)."""
        folder = os.path.join(shared(), "data", "digits")
        return [], ["--calib", os.path.join(folder, "calib.npz")], ["--eval", os.path.join(folder, "test.npz")]

    def data(self, part):
        return np.load(os.path.join(shared(), "data", "digits", part + ".npz"))

    def calibration(self, samples):
        x = self.data("calib")["input"][:samples]
        return [{"input": x[i:i + 1]} for i in range(len(x))]

    def feeds(self):
        x = self.data("test")["input"]
        return {"1": {"input": x[:1]}, "32": {"input": x[:32]}}

    def quality(self, path):
        d, s = self.data("test"), session(path)
        logits = np.concatenate([s.run(None, {"input": d["input"][i:i + 100]})[0] for i in range(0, len(d["label"]), 100)])
        return float((logits.argmax(1) == d["label"]).mean())


class Language:
    """A causal language model; the metric is perplexity on a text, in windows of 128 ids."""

    metric, window = "perplexity", 128

    def __init__(self, name, text="valid.txt", limit=None):
        self.name = self.key = name
        self.text, self.limit = text, limit
        folder = "tinygpt-s" if name.startswith("tinygpt-s") else "tinygpt"
        self.path = os.path.join(shared(), "models", folder, name + ".onnx")
        self.layers, self.heads, self.width = 4, 4, 48

    def flags(self):
        """What our own command is told: (always, to calibrate, to evaluate)."""
        text = os.path.join(shared(), "data", "text")
        tokenizer = os.path.join(shared(), "models", "tinygpt", "tokenizer.json")
        always = ["--seq-len", str(self.window), "--tokenizer", tokenizer]
        # The first windows, as windows() gives them to the peers.
        calib = ["--calib", os.path.join(text, "train.txt"), "--stride", str(self.window)]
        return always, calib, ["--eval", os.path.join(text, self.text)]

    @functools.lru_cache(maxsize=4)
    def windows(self, text, limit=None):
        t = Tokenizer.from_file(os.path.join(shared(), "models", "tinygpt", "tokenizer.json"))
        with open(os.path.join(shared(), "data", "text", text), encoding="utf-8", newline="") as f:
            ids = t.encode(f.read(limit) if limit else f.read(), add_special_tokens=False).ids
        n = len(ids) // self.window
        return np.array(ids[:n * self.window], np.int64).reshape(n, self.window)

    def feed(self, ids):
        f = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        if not self.name.endswith("-kv"):
            return f
        empty = np.zeros((len(ids), self.heads, 0, self.width), np.float32)
        for i in range(self.layers):
            f[f"past_key_values.{i}.key"] = f[f"past_key_values.{i}.value"] = empty
        f["position_ids"] = np.tile(np.arange(ids.shape[1]), (len(ids), 1))
        return f

    def decode_feed(self, ids):
        """One new id after a past of all the others, as in generation."""
        rng = np.random.default_rng(0)
        past = ids.shape[1] - 1
        f = {"input_ids": ids[:, -1:], "attention_mask": np.ones_like(ids), "position_ids": np.full((len(ids), 1), past)}
        for i in range(self.layers):
            for part in ("key", "value"):
                shape = (len(ids), self.heads, past, self.width)
                f[f"past_key_values.{i}.{part}"] = rng.standard_normal(shape, np.float32)
        return f

    def calibration(self, samples):
        return [self.feed(w[None]) for w in self.windows("train.txt", 200_000)[:samples]]

    def feeds(self):
        ids = self.windows("valid.txt")[:1]
        out = {"1x128": self.feed(ids)}
        if self.name.endswith("-kv"):
            out["1x1 past 127"] = self.decode_feed(ids)
        else:
            out["1x16"] = self.feed(ids[:, :16])
        return out

    def quality(self, path):
        s, total, count = session(path), 0.0, 0
        for w in self.windows(self.text)[:self.limit]:
            x = s.run(["logits"], self.feed(w[None]))[0][0, :-1].astype(np.float64)
            x -= x.max(1, keepdims=True)
            nll = np.log(np.exp(x).sum(1)) - x[np.arange(len(x)), w[1:]]
            total, count = total + nll.sum(), count + len(nll)
        return float(np.exp(total / count))


class Sentences:
    """The sentence encoder; the metric is the mean cosine of its embeddings to the float model's."""

    metric = "cosine"

    def __init__(self, name="minilm", samples=500):
        self.name = self.key = name
        self.samples = samples
        self.folder = os.path.join(shared(), "models", "minilm")
        self.path = os.path.join(self.folder, "minilm.onnx")
        self.reference = None

    def flags(self):
        """What our own command is told: (always, to calibrate, to evaluate)."""
        text = os.path.join(shared(), "data", "sts", "sentences.txt")
        return [], ["--calib", text], ["--eval", text, "--metric", "cosine"]

    @functools.lru_cache(maxsize=1)
    def encoded(self):
        t = Tokenizer.from_file(os.path.join(self.folder, "tokenizer.json"))
        with open(os.path.join(shared(), "data", "sts", "sentences.txt"), encoding="utf-8") as f:
            return [t.encode(line.rstrip("\n")).ids[:128] for line in f][:self.samples]

    @staticmethod
    def feed(ids):
        ids = np.array(ids, np.int64).reshape(1, -1)
        return {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}

    def calibration(self, samples):
        """The first sentences, cut to one length: the peer's histogram calibrators want equal shapes."""
        return [self.feed(i[:32]) for i in self.encoded()[:128] if len(i) >= 32][:samples]

    def feeds(self):
        ids = sum(self.encoded()[:16], [])
        return {"1x128": self.feed(ids[:128]), "1x16": self.feed(ids[:16])}

    def embed(self, path):
        s = session(path)
        return np.stack([s.run(None, self.feed(i))[0][0].mean(0) for i in self.encoded()])

    def cosines(self, path):
        if self.reference is None:
            self.reference = self.embed(self.path)
        a, b = self.reference.astype(np.float64), self.embed(path).astype(np.float64)
        return (a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))

    def quality(self, path):
        return float(self.cosines(path).mean())


class Made:
    """A model given by its file, of which nothing is known: inputs are made, the metric is the mean cosine
    between its first output and the float model's."""

    metric = "cosine"

    def __init__(self, path):
        self.name, self.path, self.key = os.path.basename(path).removesuffix(".onnx"), path, path
        self.inputs = self.reference = None

    def flags(self):
        """What our own command is told: (always, to calibrate, to evaluate)."""
        return [], ["--calib", "random"], []

    def feed(self, size, seed):
        """One sample: ids and masks for integers, normal numbers for floats; symbolic axes get size, the batch 1."""
        rng, out = np.random.default_rng(seed), {}
        self.inputs = self.inputs or [(i.name, i.type, i.shape) for i in session(self.path).get_inputs()]
        for name, kind, shape in self.inputs:
            dims = [d if isinstance(d, int) else 1 if n == 0 else size for n, d in enumerate(shape)]
            if kind == "tensor(float)":
                out[name] = rng.standard_normal(dims, np.float32)
            elif "mask" in name:
                out[name] = np.ones(dims, np.int64)
            elif "type" in name:
                out[name] = np.zeros(dims, np.int64)
            else:
                out[name] = rng.integers(0, 500, dims)
        return out

    def calibration(self, samples):
        return [self.feed(64, 100 + i) for i in range(min(samples, 16))]

    def feeds(self):
        self.feed(1, 0)
        if all(isinstance(d, int) for _, _, shape in self.inputs for d in shape[1:]):
            return {"1": self.feed(1, 0)}
        return {"1x128": self.feed(128, 0), "1x16": self.feed(16, 0), "1x1": self.feed(1, 0)}

    def outputs(self, path):
        s = session(path)
        return [s.run(None, self.feed(32, i))[0].ravel().astype(np.float64) for i in range(4)]

    def quality(self, path):
        self.reference = self.reference or self.outputs(self.path)
        pairs = zip(self.reference, self.outputs(path))
        return float(np.mean([a @ b / (np.linalg.norm(a) * np.linalg.norm(b)) for a, b in pairs]))


def all_tasks():
    """Every model that the comparison covers, in the order of the report."""
    vision = ["digits-mlp", "mnist-cnn", "mnist-cnn-bn", "resnet-tiny", "resnet-tiny-bn"]
    text = ["tinygpt", "tinygpt-dynamo", "tinygpt-kv", "tinygpt-s"]
    return [Vision(n) for n in vision] + [Language(n) for n in text] + [Sentences()]


def find(name):
    """The task of that name, or of that file; an unknown one is an error that lists the known ones."""
    if name.endswith(".onnx"):
        return Made(name)
    for t in all_tasks():
        if t.name == name:
            return t
    raise SystemExit(f"unknown model {name!r}: one of {', '.join(t.name for t in all_tasks())}")
