"""One query against a cache of 4096 rotated keys: H 16, D 128, batch 1 and 8, bound by the bytes of the cache.

The caches rotate over more memory than a third-level cache holds. The limit is the read bandwidth of as many threads,
measured in the same run. Peer: torch SDPA on the same caches, without rotation.
"""

import itertools

import numpy as np

import peers
import repo_mlir as repo
from suites import Case
from suites.attention import convert

HEADS, SIZE, KEYS = 16, 128, 4096
BYTES = 256 << 20


def cases(limits, threads=(1, 2), dtypes=("f32", "bf16", "f16")):
    for dtype, batch, kv_heads in itertools.product(dtypes, (1, 8), (16, 4)):
        if kv_heads == 4 and dtype != "bf16":
            continue
        rng = np.random.default_rng(0)
        caches = [convert(rng.standard_normal((batch, kv_heads, KEYS, SIZE), np.float32), dtype)]
        count = max(2, -(-BYTES // (2 * caches[0].nbytes)))
        caches = [(caches[0].copy(), caches[0].copy()) for _ in range(count)]
        query = convert(rng.standard_normal((batch, HEADS, 1, SIZE), np.float32), dtype)
        for number in threads:
            yield case(limits, f"decode B{batch} H{HEADS}/{kv_heads} D{SIZE} keys {KEYS}", dtype, query, caches, number)


def case(limits, name, dtype, query, caches, threads):
    out = np.empty_like(query)
    turn = itertools.cycle(caches)

    def ours():
        repo.set_num_threads(threads)
        repo.attention(query, *next(turn), causal=True, out=out)

    return Case(name=name, dtype=dtype, threads=threads, work=2 * caches[0][0].nbytes / 1e9, unit="GB/s",
                limit=limits.read(threads), ours=ours, peers=lambda: peers.decode(query, caches, dtype, threads))
