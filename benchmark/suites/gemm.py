"""Products of matrices, weights packed once: M 512 and 2048, K 2048, N 2048 and 8192; both sides f32 or bf16.

The limit of bf16 is that of the fastest unit for it. Peer: torch's linear in the same type (whose result of bf16 is bf16,
ours f32).
"""

import numpy as np

import repo_mlir as repo
from suites import Case
from suites.linear import LINEAR, convert, packed_linear, torch_linear

DEPTH = 2048


def cases(limits, rows=(512, 2048), columns=(2048, 8192), threads=(1, 2), dtypes=("f32", "bf16")):
    rng = np.random.default_rng(0)
    for dtype in dtypes:
        for width in columns:
            w = rng.standard_normal((width, DEPTH), np.float32)
            library = repo.compile(LINEAR.format(i=DEPTH, o=width, dtype=dtype, x=dtype))
            packed = library.pack("linear", convert(w, dtype))
            for length in rows:
                x = rng.standard_normal((length, DEPTH), np.float32)
                given = convert(x, dtype)
                out = np.empty((length, width), np.float32)
                for count in threads:
                    yield Case(
                        name=f"gemm M{length} K{DEPTH} N{width}", dtype=dtype, threads=count,
                        work=2.0 * length * DEPTH * width / 1e9, unit="GFLOP/s", limit=limits.bf16(count) if dtype == "bf16" else limits.fma(count),
                        ours=packed_linear(library, given, [packed], out, count),
                        peers={"torch linear": torch_linear(x, [w], dtype, count)})
