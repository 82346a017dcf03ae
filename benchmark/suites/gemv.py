"""Few rows times weights that come from memory: M 1 to 16, K 2048, N 8192, f32 and bf16 weights.

Each call takes the next of several weights, more than the caches hold. The limit is the roofline: the bytes
of the weights over the read bandwidth, or the operations over the FMA peak, whichever takes longer.
"""

import numpy as np

import repo_mlir as repo
from suites import Case
from suites.linear import LINEAR, convert, packed_linear, torch_linear

DEPTH, WIDTH = 2048, 8192


def cases(limits, rows=(1, 2, 4, 8, 16), threads=(1, 2), dtypes=("f32", "bf16"), megabytes=640):
    rng = np.random.default_rng(0)
    for dtype in dtypes:
        size = DEPTH * WIDTH * (4 if dtype == "f32" else 2)
        w = rng.standard_normal((WIDTH, DEPTH), np.float32)
        library = repo.compile(LINEAR.format(i=DEPTH, o=WIDTH, dtype=dtype, x="f32"))
        first = library.pack("linear", convert(w, dtype))
        packed = [first]
        while len(packed) * size < megabytes << 20:
            packed.append(library.pack("linear", convert(w, dtype)))
        weights = [w.copy() for _ in range(-(-(megabytes << 20) // (size * 2)))]
        for length in rows:
            x = rng.standard_normal((length, DEPTH), np.float32)
            out = np.empty((length, WIDTH), np.float32)
            for count in threads:
                seconds = max(size / limits.read(count), 2.0 * length * DEPTH * WIDTH / limits.fma(count)) / 1e9
                yield Case(
                    name=f"gemv M{length} K{DEPTH} N{WIDTH}", dtype=dtype, threads=count, work=size / 1e9,
                    unit="GB/s", limit=size / 1e9 / seconds,
                    ours=packed_linear(library, x, packed, out, count),
                    peers={"torch linear": torch_linear(x, weights, dtype, count)})
