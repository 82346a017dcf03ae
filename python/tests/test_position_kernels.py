"""Random configurations of the kernels that assign positions, on the emulator, against float64.

`python python/tests/test_position_kernels.py 300` runs that many of every path and says how near the bound they come; the
suite runs 8 of each. Seeded. Bound: that of an evaluation in float32, although the operands are of 16 bits: positions
are angles, and silu(g) c is a sum of operands. Order of the emulator: one of four, by the configuration.
"""

import functools
import os
import sys

import numpy as np
import pytest

import reference
from test_attention_kernels import TYPES
from test_emulator import compile_emulated

pytestmark = pytest.mark.xdist_group("emulator")

STATIC = 10  # so many kernels a path
PATHS = {"mma": "sm_80", "wgmma": "sm_90a"}


def strategy(path, rng):
    """None: what the compiler chooses."""
    if rng.random() < 0.4:
        return None
    warps = int(rng.choice([4, 8]))
    tokens = 16 * warps * (int(rng.choice([1, 2])) if path == "mma" else 1)
    return dict(unit=path, token_block=tokens, column_block=64, stages=int(rng.choice([2, 3, 4])), warps=warps)


def draw(path, index):
    """(type, chosen strategy, sizes that a kernel knows, arrays)."""
    static, rng = (np.random.default_rng([list(PATHS).index(path), i]) for i in (index % STATIC, 1000 + index))
    dtype = str(static.choice(["bf16", "bf16", "f16"]))
    d, columns, heads = 64 * int(static.integers(1, 6)), 64 * int(static.integers(1, 4)), int(static.integers(1, 40))
    b, n = int(rng.integers(1, 3)), int(rng.integers(1, 200))
    scale = float(rng.choice([0.05, 0.2, 1]))  # of gates, from nearly linear to saturated
    arrays = [rng.standard_normal((b, n, d)), scale * rng.standard_normal((columns, d)), rng.standard_normal((columns, d)) / d ** 0.5,
              rng.standard_normal((heads, columns))]
    return dtype, strategy(path, static), (d, columns, heads), [a.astype(TYPES[dtype]) for a in arrays]


def module(dtype, chosen, d, columns, heads):
    types = [f"tensor<?x?x{d}x{dtype}>", f"tensor<{columns}x{d}x{dtype}>", f"tensor<{columns}x{d}x{dtype}>", f"tensor<{heads}x{columns}x{dtype}>"]
    attribute = "" if chosen is None else ("{kernel_strategy = #repo.position_strategy<" +
                                           ", ".join(f"{name} = {value}" for name, value in chosen.items()) + ">} ")
    result = f"tensor<?x{heads}x?xf32>"
    return f"""func.func @f(%h: {types[0]}, %g: {types[1]}, %c: {types[2]}, %w: {types[3]}) -> {result} {{
  %z = repo.assign_positions %h gate(%g) content(%c) heads(%w) {attribute}: ({", ".join(types)}) -> {result}
  return %z : {result}
}}"""


@functools.lru_cache(maxsize=None)
def entry(source, folder, chip):
    return compile_emulated(source, folder, f"--chip={chip}")["f"]


def run(path, index, folder, orders=None):
    """How near to its bound the error comes."""
    dtype, chosen, sizes, arrays = draw(path, index)
    f = entry(module(dtype, chosen, *sizes), folder, PATHS[path])
    results = []
    for order in orders or (index % 4,):
        os.environ["REPO_EMULATOR_ORDER"] = str(order)
        results.append(np.asarray(f(*arrays)))
    assert all(np.array_equal(results[0], other) for other in results), f"{path} {index}: other bits in other orders"
    wanted = reference.assign_positions(*arrays)
    h, gate, content, heads = (a.astype(np.float32) for a in arrays)
    g = h @ gate.T
    plain = np.swapaxes((g / (1 + np.exp(-g)) * (h @ content.T)) @ heads.T, 1, 2)
    bound = max(2e-6 * np.abs(wanted).max(), 3 * np.abs(plain - wanted).max())
    nearest = np.abs(results[0] - wanted).max() / bound
    assert nearest <= 1, f"{path} {index}: {nearest:.2f} of the bound; {dtype} {chosen} {sizes} {arrays[0].shape}"
    return nearest


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(tmp_path_factory.mktemp("positions"))


@pytest.mark.parametrize("path", PATHS)
def test_random(path, folder):
    for index in (0, 1, 2, 3, 10, 11, 12, 13):
        run(path, index, folder)


@pytest.mark.parametrize("path", PATHS)
def test_orders(path, folder):
    run(path, 2, folder, orders=range(7))


def main(count):
    import tempfile
    with tempfile.TemporaryDirectory() as folder:
        for path in PATHS:
            nearest = [run(path, index, folder) for index in range(count)]
            print(f"{path}: {count} configurations, {min(count, STATIC)} kernels, nearest to the bound {max(nearest):.2f}, "
                  f"mean {np.mean(nearest):.2f}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
