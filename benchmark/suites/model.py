"""Whole models of the 1B or 7B shape, random weights: prefill and decode in tokens/s, beside torch with the reference's arithmetic.

The peer "ours, RoPE" is the same model with integer positions; the number beside it is its share of the operations, or of
the bytes: what `ours_over_peer` is where learned positions cost no more than that. Limits: prefill the peak of multiply-adds
of the type over all FLOPs, the head on the last token only, on both sides; decode the time in which as many bytes are read
as weights and cache of a step have, in the same rounds (a shared machine has twice the bandwidth of the minute before), and
of several sequences the operations at the peak after that. The checkpoints, compiled models and packed weights are kept in
REPO_BENCHMARK_DIR (default build/benchmark-models) between runs: 6 GB a model in bf16, 12 in f32, and REPO_BENCHMARK_SIZE=7b
28 in bf16; ours maps the packed weights, a peer has its own in memory: `--peers` takes them one by one.
llama.cpp is measured where llama-cpp-python and gguf are installed: the model with integer positions.
"""

import functools
import importlib.util
import itertools
import os
import pathlib
import shutil

import numpy as np

import llama_peer
import repo_mlir as repo
from repo_mlir import find
from repo_mlir.make_checkpoint import SIZES, make_checkpoint
from suites import Case, lazily

HOME = pathlib.Path(os.environ.get("REPO_BENCHMARK_DIR", pathlib.Path(__file__).parents[2] / "build" / "benchmark-models"))
MODEL = os.environ.get("REPO_BENCHMARK_SIZE", "1b")
LAYERS = int(os.environ.get("REPO_BENCHMARK_LAYERS", SIZES[MODEL]["layers"]))  # fewer: a short look
HIDDEN, HEADS, INNER, VOCABULARY, START = (
    SIZES[MODEL][name] for name in ("hidden", "heads", "intermediate", "vocabulary", "start_layer"))


def folders(dtype, mode):
    """(compiled, checkpoint), made where they are missing; weights packed."""
    checkpoint = HOME / f"{MODEL}-{LAYERS}-{mode}-{dtype}"
    if not (checkpoint / "config.json").exists():
        shutil.rmtree(checkpoint, ignore_errors=True)
        make_checkpoint(checkpoint, MODEL, dtype=dtype, mode=mode, layers=LAYERS)
    compiled = HOME / f"{MODEL}-{LAYERS}-{mode}-{dtype}-compiled"
    made, compiler = compiled / "manifest.json", find.shared_library("repo_compiler")
    if not made.exists() or made.stat().st_mtime < pathlib.Path(compiler).stat().st_mtime:
        shutil.rmtree(compiled, ignore_errors=True)
        repo.compile_model(checkpoint, compiled, dtype=dtype)
    if not (compiled / "packed.weights").exists():
        repo.pack_model(compiled, checkpoint)
    return compiled, checkpoint


def parameters(mode):
    """Of the matrices that every token reads, without the embedding."""
    learned = max(0, LAYERS - START) * (2 * HIDDEN // 8 * HIDDEN + HEADS * HIDDEN // 8)
    return LAYERS * (4 * HIDDEN * HIDDEN + 3 * HIDDEN * INNER) + (learned if mode == "swigluex_multihead" else 0)


def prefill_gflop(tokens, mode):
    attention = 2 * tokens * tokens * HIDDEN * LAYERS  # half of two products over all pairs
    return (2 * tokens * parameters(mode) + attention + 2 * VOCABULARY * HIDDEN) / 1e9


def decode_gigabytes(context, dtype, mode, batch=1):
    width = 4 if dtype == "f32" else 2
    return width * (parameters(mode) + VOCABULARY * HIDDEN + batch * 2 * LAYERS * HIDDEN * context) / 1e9


def decode_gflop(context, mode, batch):
    return batch * 2 * (parameters(mode) + VOCABULARY * HIDDEN + 2 * LAYERS * HIDDEN * context) / 1e9


def decode_limit(limits, gigabytes, gflop, peak, threads):
    """A function that reads that many bytes of memory, and the seconds of that and of the operations."""
    block = np.ones(1 << 27, np.float32)
    whole, rest = divmod(int(gigabytes * 1e9), block.nbytes)
    read = limits.reader([[block] * whole + [block[:rest // 4]]], threads)
    return lambda: read() + gflop / peak


class Model:
    """A compiled checkpoint, loaded when it is first run."""

    def __init__(self, dtype, mode, threads):
        self.dtype, self.mode, self.threads = dtype, mode, threads

    @functools.cached_property
    def folders(self):
        return folders(self.dtype, self.mode)

    @functools.cached_property
    def loaded(self):
        return repo.load_model(*self.folders, threads=self.threads)

    @functools.cached_property
    def torch(self):
        """The reference's arithmetic."""
        from torch_model import TorchModel
        return TorchModel(self.folders[1], {"f32": "float32", "bf16": "bfloat16"}[self.dtype])

    def prefill(self, prompt):
        session = self.loaded.session(capacity=prompt.shape[1])

        def call():
            session.trim(0)
            session.append(prompt)

        return call

    def decode(self, tokens, context):
        session = self.loaded.session(batch=tokens.shape[0], capacity=context + 1)
        session.append(tokens[:, :context])

        def call():
            session.append(tokens[:, context:context + 1])
            session.trim(context)

        return call

    def llama_run(self, tokens, start=0):
        """llama.cpp on this checkpoint; tokens before `start` are evaluated first. None where it is not installed."""
        if not llama_peer.installed():
            return None

        def make():
            path = self.folders[1].with_suffix(".gguf")
            if not path.exists():
                llama_peer.write_gguf(self.folders[1], path)
            model = llama_peer.LlamaModel(path, len(tokens), self.threads)
            if start:
                model.run(tokens[:start])
            return lambda: model.run(tokens[start:], start)

        return lazily(make)

    def torch_run(self, tokens, start=0):
        """Torch after a cache whose first `start` tokens are zeros, which take the same time. None where it is not installed."""
        if not importlib.util.find_spec("torch"):
            return None

        def make():
            import torch
            cache = self.torch.new_cache(tokens.shape[0], start + tokens.shape[1])

            def call():
                torch.set_num_threads(self.threads)
                self.torch.run(tokens, cache, start, last_only=True)

            return call

        return lazily(make)


def cases(limits, threads=(2,), dtypes=("bf16", "f32"), lengths=(512, 2048), contexts=(512, 4096), batches=(1, 8),
          wanted=lambda name, dtype: True):
    threads = max(threads)
    batch_tokens = np.random.default_rng(0).integers(0, VOCABULARY, (max(batches), max(*lengths, *contexts) + 64))
    for dtype in dtypes:
        learned, integer = (Model(dtype, mode, threads) for mode in ("swigluex_multihead", "none"))
        peak = limits.bf16(threads) if dtype == "bf16" else limits.fma(threads)
        for length in filter(lambda n: wanted(f"{MODEL.upper()} prefill {n}", dtype), lengths):
            prompt = batch_tokens[:1, :length]
            flops, plain = (prefill_gflop(length, model.mode) for model in (learned, integer))
            yield Case(name=f"{MODEL.upper()} prefill {length}", dtype=dtype, threads=threads, work=length, unit="tokens/s",
                       limit=length * peak / flops, ours=learned.prefill(prompt),
                       peers={"torch": learned.torch_run(prompt),
                              f"ours, RoPE ({plain / flops:.4f})": lazily(lambda: integer.prefill(prompt)),
                              llama_peer.NAME: integer.llama_run(prompt[0])})
        for context, batch in itertools.product(contexts, batches):
            name = f"{MODEL.upper()} decode at {context}" + (f", batch {batch}" if batch > 1 else "")
            # Several long contexts take minutes to prepare, and no other kernels.
            if batch > 1 and context > min(contexts) or not wanted(name, dtype):
                continue
            tokens = batch_tokens[:batch]
            size, plain = (decode_gigabytes(context, dtype, model.mode, batch) for model in (learned, integer))
            flops = decode_gflop(context, learned.mode, batch) if batch > 1 else 0
            peers = {"torch": learned.torch_run(tokens[:, context:context + 1], context),
                     f"ours, RoPE ({plain / size:.4f})": lazily(lambda: integer.decode(tokens, context))}
            if batch == 1:
                peers[llama_peer.NAME] = integer.llama_run(tokens[0, :context + 1], context)
            yield Case(name=name, dtype=dtype, threads=threads, work=batch, unit="tokens/s", limit=0,
                       bar=decode_limit(limits, size, flops, peak, threads), ours=learned.decode(tokens, context),
                       peers=peers)
