"""Few rows times weights that come from memory: M 1 to 16, K 2048, N 8192, f32 and bf16 weights.

Each call takes the next of several weights, more than the caches hold. The limit reads the same bytes on as many threads
in the same rounds, or does the operations at the FMA peak where that takes longer.
"""

import functools

import numpy as np

import repo_mlir as repo
from suites import Case
from suites.attention import lazily
from suites.linear import LINEAR, convert, packed_linear, torch_linear

DEPTH, WIDTH, BYTES = 2048, 8192, 320 << 20


@functools.lru_cache(maxsize=1)
def packed_weights(dtype):
    library = repo.compile(LINEAR.format(i=DEPTH, o=WIDTH, dtype=dtype, x="f32"))
    w = convert(np.random.default_rng(0).standard_normal((WIDTH, DEPTH), np.float32), dtype)
    return library, [library.pack("linear", w) for _ in range(-(-BYTES // w.nbytes))]


def cases(limits, rows=(1, 2, 4, 8, 16), threads=(1, 2), dtypes=("f32", "bf16")):
    for dtype in dtypes:
        for length in rows:
            for count in threads:
                yield case(limits, dtype, length, count)


def case(limits, dtype, length, threads):
    x = np.random.default_rng(0).standard_normal((length, DEPTH), np.float32)
    size = DEPTH * WIDTH * (4 if dtype == "f32" else 2)

    def calls():
        library, packed = packed_weights(dtype)
        return packed_linear(library, x, packed, np.empty((length, WIDTH), np.float32), threads)

    def reader():
        return limits.reader([[w] for w in packed_weights(dtype)[1]], threads, 2 * length * DEPTH * WIDTH)

    def peers():
        weights = [np.random.default_rng(i).standard_normal((WIDTH, DEPTH), np.float32)
                   for i in range(-(-BYTES // size))]
        return {"torch linear": torch_linear(x, weights, dtype, threads)}

    return Case(name=f"gemv M{length} K{DEPTH} N{WIDTH}", dtype=dtype, threads=threads, work=size / 1e9, unit="GB/s",
                limit=0, bar=lazily(reader), ours=lazily(calls), peers=peers)
