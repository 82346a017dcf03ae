"""Random configurations of attention against the float64 reference.

`python python/tests/test_random.py 1000` runs that many and says how near the bounds they come; the suite runs 100.
Seeded: configuration i is always the same. Static properties (types, heads, head sizes, options) repeat, sizes are
from 1 to 200.

The bounds, relative to the largest output: float32 max(2e-6, 3 times the error of a plain float32 evaluation of the
same formula); short types twice the error of a plain evaluation in that type, and one rounding of the result.
"""

import sys

import ml_dtypes
import numpy as np
import pytest

import reference
import repo_mlir as repo

STATIC = 40  # so many sets of static properties
TYPES = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16, "float64": np.float64}
ROUNDING = {"float16": 2.0 ** -11, "bfloat16": 2.0 ** -8}
SCALINGS = [None, None, None, {"rope_type": "linear", "factor": 4.0},
            {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
             "original_max_position_embeddings": 512},
            {"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 256}]


def draw(index):
    """Type, inputs, rope and options of configuration `index`."""
    static, rng = np.random.default_rng(1000 + index % STATIC), np.random.default_rng(index)
    dtype = str(static.choice(["float32", "float32", "float32", "float16", "bfloat16"]))
    kv_heads = int(static.integers(1, 4))
    heads = kv_heads * int(static.integers(1, 4))
    d, dv = int(static.integers(1, 65)) * 2, int(static.integers(1, 130))
    b, n, m = int(rng.integers(1, 4)), int(rng.integers(1, 201)), int(rng.integers(1, 201))
    options, rope = {}, {}
    shape = {"q": (b, heads, n, d), "k": (b, kv_heads, m, d), "v": (b, kv_heads, m, dv)}
    x = {name: rng.standard_normal(s).astype(np.float32) for name, s in shape.items()}
    pairs = [(0, 0), (0, 0), (1, 1), (kv_heads, kv_heads), (heads, kv_heads), (heads, heads), (heads, 1),
             (1, kv_heads), (kv_heads, 0), (0, kv_heads)]
    zq_heads, zk_heads = pairs[static.integers(len(pairs))]
    reach = float(static.choice([1.0, 10.0, 300.0]))
    if zq_heads:
        x["zq"] = (rng.standard_normal((b, zq_heads, n)) * reach).astype(np.float32)
    if zk_heads:
        x["zk"] = (rng.standard_normal((b, zk_heads, m)) * reach).astype(np.float32)
    if zq_heads or zk_heads:
        rope = dict(theta=10000.0, layout=str(static.choice(["half", "interleaved"])),
                    dim=int(static.choice([d, max(2, d // 4 * 2)])), scaling=SCALINGS[static.integers(len(SCALINGS))])
    if static.random() < 0.5:
        options["causal"] = True
    if static.random() < 0.3:
        options["window"] = ((int(static.integers(-1, 40)), int(static.integers(-1, 40))) if static.random() < 0.7
                             else int(static.integers(1, 40)))
    if static.random() < 0.25:
        options["softcap"] = 3.0
    if static.random() < 0.25:
        options["scale"] = 0.2
    if static.random() < 0.3:
        dims = [size if full else 1 for size, full in zip((b, heads, n, m), static.random(4) < 0.6)]
        options["bias"] = rng.standard_normal(dims).astype(np.float32)
    if static.random() < 0.3:
        dims = [size if full else 1 for size, full in zip((b, heads, n, m), static.random(4) < 0.6)]
        options["mask"] = rng.random(dims) < 0.7
    if static.random() < 0.4:
        options["offset"] = rng.integers(-5, m + 1, b).astype(np.int32)
        if static.random() < 0.5:
            options["lengths"] = rng.integers(0, m + 1, b).astype(np.int32)
    return dtype, x, rope, options


def run(index, dtype=None):
    """How much of the bounds configuration `index` takes: (of the output's, of lse's)."""
    drawn, x, rope, options = draw(index)
    dtype = dtype or drawn
    typed = {name: a.astype(TYPES[dtype]) if name in "qkv" else a for name, a in x.items()}
    if "lengths" in options:  # keys past the lengths hold garbage
        for batch, length in enumerate(options["lengths"]):
            typed["k"][batch, :, length:] = np.nan
            typed["v"][batch, :, length:] = np.inf
    wanted, wanted_lse = reference.attention(**typed, rope=rope, **options)
    out, lse = repo.attention(**typed, rope=repo.Rope(**rope) if rope else None, return_lse=True, **options)
    assert out.dtype == typed["q"].dtype and lse.dtype == (np.float64 if dtype == "float64" else np.float32)
    empty = np.isneginf(wanted_lse)
    assert np.array_equal(np.isneginf(lse), empty), index
    assert not out[empty].any(), index

    def error(found, expected):
        return float(np.abs(found[~empty].astype(np.float64) - expected[~empty]).max(initial=0.0))

    largest = max(float(np.abs(wanted).max(initial=0.0)), 1e-30)
    largest_lse = max(1.0, float(np.abs(wanted_lse[~empty]).max(initial=0.0)))
    if dtype == "float64":
        bound, bound_lse = 1e-12 * largest, 1e-12 * largest_lse
    else:
        plain, plain_lse = reference.attention(**typed, rope=rope, **options, dtype=TYPES[dtype])
        times, least = (3, 2e-6) if dtype == "float32" else (2, ROUNDING[dtype])
        bound = max(times * error(plain, wanted), least * largest)
        bound_lse = max(times * error(plain_lse, wanted_lse), 2e-6 * largest_lse)
    shares = error(out, wanted) / bound, error(lse, wanted_lse) / bound_lse
    assert all(share <= 1 for share in shares), (index, dtype, shares)  # NaN is not
    return shares


@pytest.mark.parametrize("index", range(100))
def test_configuration(index):
    run(index)


@pytest.mark.parametrize("index", range(0, STATIC, 2))
def test_decomposition(index):
    """The decomposition in float64, compiled, is the reference."""
    run(index, "float64")


def main(count):
    nearest = np.zeros(2)
    failures = 0
    for index in range(count):
        try:
            nearest = np.maximum(nearest, run(index))
        except AssertionError as error:
            failures += 1
            print(f"configuration {index}: {error}")
    print(f"{count - failures} of {count} configurations agree with the float64 reference; the nearest take "
          f"{nearest[0]:.2f} of the bound of the output, {nearest[1]:.2f} of that of lse")
    return failures > 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
