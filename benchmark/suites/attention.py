"""Causal prefill attention with rotation inside: H 16, D 128, f32 and bf16.

Useful work counts half of the score matrix. Peers: torch SDPA on rotated inputs
(attention alone), and torch SDPA behind the rotation a RePo user must add; ONNX
Runtime's GroupQueryAttention without rotation.
"""

import numpy as np

import peers
import repo_mlir as repo
from suites import Case

HEADS, SIZE = 16, 128


def cases(limits, lengths=(512, 1024, 2048, 4096), threads=(1, 2), dtypes=("f32",)):
    rng = np.random.default_rng(0)
    rope = repo.Rope(theta=500000.0)
    for dtype in dtypes:
        for length in lengths:
            data = [rng.standard_normal((1, HEADS, length, SIZE), np.float32) for _ in range(3)]
            z = rng.standard_normal((1, HEADS, length)).astype(np.float32).cumsum(-1)
            q, k, v = (convert(x, dtype) for x in data)
            out = np.empty_like(q)
            for count in threads:

                def ours(q=q, k=k, v=v, z=z, out=out, count=count):
                    repo.set_num_threads(count)
                    repo.attention(q, k, v, z, z, rope=rope, causal=True, out=out)

                yield Case(
                    name=f"prefill causal H{HEADS} D{SIZE} N{length}", dtype=dtype, threads=count,
                    work=2.0 * 2.0 * HEADS * SIZE * length * length / 2 / 1e9, unit="GFLOP/s",
                    limit=limits.fma(count), ours=ours,
                    peers=peers.attention(data, z, dtype, count))


def convert(array, dtype):
    if dtype == "f32":
        return array
    import ml_dtypes
    return array.astype({"bf16": ml_dtypes.bfloat16, "f16": np.float16}[dtype])
