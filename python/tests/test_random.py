"""Random configurations of attention against the float64 reference.

`python python/tests/test_random.py 1000` runs that many; the suite runs 100. Seeded: configuration i is always the
same. Static properties (types, heads, head sizes, options) are drawn from few, sizes from 1 to 200.
"""

import sys

import numpy as np
import pytest

import reference
import repo_mlir as repo

# Error relative to the largest output: of plain f32 evaluation; of rounding the result for the short types.
BOUND = {"float32": 2e-6, "float16": 2.0 ** -10, "bfloat16": 2.0 ** -7}


def draw(index):
    """Inputs and options of configuration `index`; static properties repeat every 25."""
    static, rng = np.random.default_rng(1000 + index % 25), np.random.default_rng(index)
    dtype = static.choice(["float32", "float32", "float32", "float16", "bfloat16"])
    kv_heads = int(static.integers(1, 4))
    heads = kv_heads * int(static.integers(1, 4))
    d, dv = int(static.integers(1, 65)) * 2, int(static.integers(1, 130))
    b, n, m = int(rng.integers(1, 4)), int(rng.integers(1, 201)), int(rng.integers(1, 201))
    options, rope = {}, {}
    shape = {"q": (b, heads, n, d), "k": (b, kv_heads, m, d), "v": (b, kv_heads, m, dv)}
    x = {name: rng.standard_normal(s).astype(np.float32) for name, s in shape.items()}
    positions = static.integers(0, 4)
    if positions:
        z_heads = {1: 1, 2: kv_heads, 3: heads}[int(positions)]
        x["zq"] = (rng.standard_normal((b, z_heads, n)) * 10).astype(np.float32)
        x["zk"] = (rng.standard_normal((b, z_heads, m)) * 10).astype(np.float32)
        rope = dict(theta=10000.0, layout=str(static.choice(["half", "interleaved"])),
                    dim=int(static.choice([d, max(2, d // 4 * 2)])))
    if static.random() < 0.5:
        options["causal"] = True
    if static.random() < 0.3:
        options["window"] = (int(static.integers(-1, 40)), int(static.integers(-1, 40)))
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


def run(index):
    dtype, x, rope, options = draw(index)
    typed = {name: a.astype(_type(dtype)) if name in "qkv" else a for name, a in x.items()}
    # Keys past the lengths hold garbage.
    if "lengths" in options:
        for batch, length in enumerate(options["lengths"]):
            typed["k"][batch, :, length:] = np.nan
            typed["v"][batch, :, length:] = np.inf
    plain = {name: a.astype(np.float64) for name, a in typed.items()}
    wanted, wanted_lse = reference.attention(**plain, rope=rope, **options)
    out, lse = repo.attention(**typed, rope=repo.Rope(**rope) if rope else None, return_lse=True, **options)
    assert out.dtype == typed["q"].dtype and lse.dtype == np.float32
    scale = max(np.abs(wanted).max(initial=0.0), 1e-30)
    error = np.abs(out.astype(np.float64) - wanted).max(initial=0.0) / scale
    # The logits grow with the head size, and their rounding with them.
    logits = 1.0 + np.abs(wanted_lse[np.isfinite(wanted_lse)]).max(initial=0.0)
    assert error <= BOUND[dtype] * max(1.0, logits), (index, dtype, error)
    assert np.array_equal(np.isneginf(lse), np.isneginf(wanted_lse)), index
    finite = np.isfinite(wanted_lse)
    assert np.abs(lse[finite] - wanted_lse[finite]).max(initial=0.0) <= 2e-6 * logits, index
    assert not out[np.isneginf(wanted_lse)].any(), index


def _type(name):
    if name == "bfloat16":
        import ml_dtypes
        return ml_dtypes.bfloat16
    return np.dtype(name)


@pytest.mark.parametrize("index", range(100))
def test_configuration(index):
    run(index)


if __name__ == "__main__":
    count = int(sys.argv[1])
    for i in range(count):
        run(i)
    print(f"{count} configurations agree with the float64 reference")
