"""Prefill attention with rotation inside: H 16, D 128, causal, and around it D 64, grouped heads, a window, no mask.

Useful work counts the visible part of the score matrix. Peers where they do the same: torch SDPA on rotated inputs
(attention alone) and behind the rotation a RePo user must add, FlexAttention compiled on rotated inputs, ONNX Runtime's
GroupQueryAttention without and with that rotation.
"""

import functools

import numpy as np

import peers
import repo_mlir as repo
from suites import Case, lazily

HEADS, SIZE = 16, 128
VARIANTS = (("D 64", dict(size=64)), ("grouped 16/4", dict(kv_heads=4)), ("window 512", dict(window=512)),
            ("bidirectional", dict(causal=False)))


def cases(limits, lengths=(512, 1024, 2048, 4096), threads=(1, 2), dtypes=("f32", "bf16")):
    for dtype in dtypes:
        for length in lengths:
            for count in threads:
                yield case(limits, f"prefill causal H{HEADS} D{SIZE} N{length}", dtype, length, count)
    for name, options in VARIANTS:
        for count in threads:
            yield case(limits, f"prefill {name} N2048", "f32", 2048, count, **options)


@functools.lru_cache(maxsize=1)
def inputs(length, size, kv_heads):
    """q, k, v [1, H, N, D] and positions [1, Hkv, N], in float32."""
    rng = np.random.default_rng(0)
    data = [rng.standard_normal((1, heads, length, size), np.float32) for heads in (HEADS, kv_heads, kv_heads)]
    return data, rng.standard_normal((1, kv_heads, length)).astype(np.float32).cumsum(-1)


def case(limits, name, dtype, length, threads, *, size=SIZE, kv_heads=HEADS, window=None, causal=True):
    rope = repo.Rope(theta=500000.0)

    def calls():
        data, z = inputs(length, size, kv_heads)
        q, k, v = (convert(x, dtype) for x in data)
        out = np.empty_like(q)

        def call():
            repo.set_num_threads(threads)
            repo.attention(q, k, v, z, z, rope=rope, causal=causal, window=window, out=out)

        return call

    rows = np.arange(1, length + 1)
    pairs = length * length if not causal else length * length / 2 if window is None else np.minimum(rows, window).sum()
    return Case(name=name, dtype=dtype, threads=threads, work=4.0 * HEADS * size * float(pairs) / 1e9, unit="GFLOP/s",
                limit=limits.bf16(threads) if dtype == "bf16" else limits.fma(threads), ours=lazily(calls),
                peers=lambda: peers.attention(*inputs(length, size, kv_heads), dtype, threads, causal, window))


def convert(array, dtype):
    if dtype == "f32":
        return array
    import ml_dtypes
    return array.astype({"bf16": ml_dtypes.bfloat16, "f16": np.float16}[dtype])
