"""Whole models of the 1B shape, random weights: prefill and decode in tokens/s, beside torch with the reference's arithmetic.

Limits: prefill the FMA peak (or that of the matrix unit) over all FLOPs, the head on the last token only, on both sides; decode
the read bandwidth over the bytes of weights and cache that a token needs. The checkpoints and compiled models are kept in
REPO_BENCHMARK_DIR (default build/benchmark-models) between runs; both sides have them in memory, 6 GB each in f32.
llama.cpp is measured where llama-cpp-python is installed and REPO_BENCHMARK_GGUF names a model of this shape.
"""

import os
import pathlib
import shutil

import numpy as np

import repo_mlir as repo
from repo_mlir.make_checkpoint import make_checkpoint
from suites import Case

HOME = pathlib.Path(os.environ.get("REPO_BENCHMARK_DIR", pathlib.Path(__file__).parents[2] / "build" / "benchmark-models"))
LAYERS = int(os.environ.get("REPO_BENCHMARK_LAYERS", "16"))  # fewer: a short look
HIDDEN, HEADS, SIZE, INNER, VOCABULARY, START = 2048, 16, 128, 8192, 100352, 5


def folders(dtype, mode):
    """(compiled, checkpoint), made where they are missing; weights packed."""
    checkpoint = HOME / f"1b-{LAYERS}-{mode}-{dtype}"
    if not (checkpoint / "config.json").exists():
        shutil.rmtree(checkpoint, ignore_errors=True)
        make_checkpoint(checkpoint, "1b", dtype=dtype, mode=mode, layers=LAYERS)
    compiled = HOME / f"1b-{LAYERS}-{mode}-{dtype}-compiled"
    shutil.rmtree(compiled, ignore_errors=True)
    repo.compile_model(checkpoint, compiled, dtype=dtype)
    return compiled, checkpoint


def parameters(mode):
    """Of the matrices that every token reads, without the embedding."""
    learned = max(0, LAYERS - START) * (2 * HIDDEN // 8 * HIDDEN + HEADS * HIDDEN // 8)
    return LAYERS * (4 * HIDDEN * HIDDEN + 3 * HIDDEN * INNER) + (learned if mode == "swigluex_multihead" else 0)


def prefill_gflop(tokens, mode):
    attention = 2 * tokens * tokens * HIDDEN * LAYERS  # half of two products over all pairs
    return (2 * tokens * parameters(mode) + attention + 2 * VOCABULARY * HIDDEN) / 1e9


def decode_gigabytes(context, dtype, mode):
    width = 4 if dtype == "f32" else 2
    return width * (parameters(mode) + VOCABULARY * HIDDEN + 2 * LAYERS * HIDDEN * context) / 1e9


def llama(context, threads):
    """A function that evaluates n tokens at the end of `context`, or None."""
    path = os.environ.get("REPO_BENCHMARK_GGUF")
    try:
        import llama_cpp
    except ImportError:
        return None
    if not path:
        return None
    model = llama_cpp.Llama(path, n_ctx=context + 2048, n_threads=threads, n_threads_batch=threads, verbose=False)

    def evaluate(start, tokens):
        model.n_tokens = start
        model.eval(tokens)

    return evaluate


def cases(limits, threads=(2,), dtypes=("bf16", "f32"), lengths=(512, 2048), contexts=(512, 4096)):
    threads = [max(threads)]
    for dtype in dtypes:
        for mode in ("swigluex_multihead", "none"):
            yield from cases_of(limits, dtype, mode, threads[0], lengths, contexts)


def cases_of(limits, dtype, mode, threads, lengths, contexts):
    compiled, checkpoint = folders(dtype, mode)
    model = repo.load_model(compiled, checkpoint, threads=threads)
    try:
        import torch
        from torch_model import TorchModel
        peer = TorchModel(checkpoint, {"f32": "float32", "bf16": "bfloat16"}[dtype])
    except ImportError:
        torch = peer = None
    name = {"swigluex_multihead": "RePo", "none": "RoPE"}[mode]
    tokens = np.random.default_rng(0).integers(0, VOCABULARY, (1, max(*lengths, *contexts) + 64))
    peak = limits.bf16(threads) if dtype == "bf16" else limits.fma(threads)
    for length in lengths:
        session, prompt = model.session(capacity=length), tokens[:, :length]
        cache = peer and peer.new_cache(1, length)
        evaluate = llama(length, threads)

        def ours(session=session, prompt=prompt):
            session.trim(0)
            session.append(prompt)

        def theirs(cache=cache, prompt=prompt):
            torch.set_num_threads(threads)
            peer.run(prompt, cache, last_only=True)

        yield Case(name=f"{name} 1B prefill {length}", dtype=dtype, threads=threads, work=length, unit="tokens/s",
                   limit=length * peak / prefill_gflop(length, mode), ours=ours,
                   peers={"torch": theirs if peer else None,
                          "llama.cpp": evaluate and (lambda: evaluate(0, prompt[0].tolist()))})
    for context in contexts:
        session = model.session(capacity=context + 1)
        session.append(tokens[:, :context])
        cache = peer and peer.new_cache(1, context + 1)
        evaluate = llama(context, threads)
        if peer:
            peer.run(tokens[:, :context], cache, last_only=True)
        if evaluate:
            evaluate(0, tokens[0, :context].tolist())

        def ours(session=session, context=context):
            session.append(tokens[:, context:context + 1])
            session.trim(context)

        def theirs(cache=cache, context=context):
            torch.set_num_threads(threads)
            peer.run(tokens[:, context:context + 1], cache, context, last_only=True)

        yield Case(name=f"{name} 1B decode at {context}", dtype=dtype, threads=threads, work=1, unit="tokens/s",
                   limit=limits.read(threads) / decode_gigabytes(context, dtype, mode), ours=ours,
                   peers={"torch": theirs if peer else None,
                          "llama.cpp": evaluate and (lambda: evaluate(context, [int(tokens[0, context])]))})
