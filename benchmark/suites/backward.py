"""The gradient of attention with rotation by learned positions: of queries, keys, values and positions; H 16, D 128, causal.

Useful work is five products of the visible part of the score matrix, 2.5 times that of the forward pass. The peers are
torch's autograd of SDPA, on rotated inputs (attention alone) and behind the rotation a RePo user must add: the backward
pass alone is timed, from a graph that is kept.
"""

import functools

import numpy as np

import peers
import repo_mlir as repo
from suites import Case, lazily

HEADS, SIZE = 16, 128


def cases(limits, lengths=(512, 1024, 2048, 4096), threads=(1, 2)):
    for length in lengths:
        for count in threads:
            yield case(limits, f"backward causal H{HEADS} D{SIZE} N{length}", length, count)
    for count in threads:
        yield case(limits, "backward D 64 N2048", 2048, count, size=64)
        yield case(limits, "backward bidirectional N2048", 2048, count, causal=False)


@functools.lru_cache(maxsize=1)
def inputs(length, size):
    """q, k, v and the upstream gradient [1, H, N, D], positions [1, H, N], in float32."""
    rng = np.random.default_rng(0)
    data = [rng.standard_normal((1, HEADS, length, size), np.float32) for _ in range(4)]
    return data, rng.standard_normal((1, HEADS, length)).astype(np.float32).cumsum(-1)


def case(limits, name, length, threads, *, size=SIZE, causal=True):
    options = dict(rope=repo.Rope(theta=500000.0), causal=causal)

    def calls():
        (q, k, v, upstream), z = inputs(length, size)
        out, lse = repo.attention(q, k, v, z, z, return_lse=True, **options)

        def call():
            repo.set_num_threads(threads)
            repo.attention_backward(q, k, v, out, lse, upstream, z, z, **options)

        return call

    pairs = length * length / (2 if causal else 1)
    return Case(name=name, dtype="f32", threads=threads, work=10.0 * HEADS * size * pairs / 1e9, unit="GFLOP/s",
                limit=limits.fma(threads), ours=lazily(calls),
                peers=lambda: torch_backward(*inputs(length, size), threads, causal))


def torch_backward(arrays, z, threads, causal):
    names = ("torch SDPA backward", "torch SDPA + rotation backward")
    torch = peers.torch_or_none()
    if torch is None:
        return dict.fromkeys(names)
    q, k, v, upstream = (torch.from_numpy(x) for x in arrays)
    size = q.shape[-1]
    omega = 500000.0 ** (-torch.arange(0, size, 2, dtype=torch.float32) / size)

    def backward(rotates):
        leaves = [x.detach().requires_grad_() for x in (q, k, v)]
        zq, zk = (torch.from_numpy(z).requires_grad_() for _ in range(2))
        turned = leaves[:2]
        if rotates:
            angles = [p[..., None] * omega for p in (zq, zk)]
            turned = [peers.torch_rotate(x, a.cos(), a.sin()) for x, a in zip(turned, angles)]
        result = torch.nn.functional.scaled_dot_product_attention(*turned, leaves[2], is_causal=causal)
        wanted = leaves + ([zq, zk] if rotates else [])

        def call():
            torch.set_num_threads(threads)
            return torch.autograd.grad(result, wanted, upstream, retain_graph=True)

        return call

    return {names[0]: backward(False), names[1]: backward(True)}
