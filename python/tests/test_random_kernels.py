"""Random configurations of the attention kernels, on the emulator, against float64.

The suite runs 300 of every path, over 20 sets of static properties (a compiled kernel each);
`python python/tests/test_random_kernels.py 3000 [PATH...]` runs that many, and says how near the bound they come.
Seeded: configuration i of a path is always the same. Bound: twice the error of a plain evaluation in the type, and one rounding of the result; where there
are few queries that see a key, whose plain evaluation may be right by luck, the largest of 16 draws of such queries. What no query sees
is NaN: rows past the lengths, pages that nobody has, keys that a mask hides.
"""

import functools
import os
import sys

import ml_dtypes
import numpy as np
import pytest

import reference
from test_attention_kernels import TYPES
from test_emulator import compile_emulated
from test_random import ROUNDING

STATIC = 20  # so many kernels a path
PAGE = 64
# Chip, whether there are few queries, whether keys and values are pages.
PATHS = {"mma": ("sm_80", False, False), "wgmma": ("sm_90a", False, False), "mma-paged": ("sm_80", False, True),
         "wgmma-paged": ("sm_90a", False, True), "decode": ("sm_80", True, False), "decode-paged": ("sm_90a", True, True)}


def draw(path, index):
    """(dtype, static, options, arrays) of a configuration; arrays in the order of the function's arguments."""
    _, decode, paged = PATHS[path]
    static, rng = (np.random.default_rng([list(PATHS).index(path), i]) for i in (index % STATIC, 1000 + index))
    dtype = str(static.choice(["bf16", "bf16", "f16"]))
    d, kv_heads, group = int(static.choice([64, 128])), int(static.integers(1, 3)), int(static.choice([1, 1, 2, 4]))
    n_static = None
    if decode:
        n_static = 1 if group > 1 else int(static.choice([1, 1, 2, 5, 16]))
        group = int(static.choice([1, 3, 8, 16 if d == 128 else 17])) if n_static == 1 else int(static.integers(1, 16 // n_static + 1))
    heads, b = kv_heads * group, int(rng.integers(1, 3))
    n, m = n_static or int(rng.integers(1, 140)), int(rng.integers(1, 300 if decode else 200))
    if paged:
        m = (m + PAGE - 1) // PAGE * PAGE
    options = dict(causal=bool(static.random() < 0.7))
    if static.random() < 0.3:
        options["window"] = (int(static.integers(0, 60)), int(static.integers(-1, 40)))
    if static.random() < 0.25:
        options["softcap"] = 3.0
    if static.random() < 0.25:
        options["scale"] = 0.2
    rope = None
    arrays = {"q": rng.standard_normal((b, heads, n, d)), "k": rng.standard_normal((b, kv_heads, m, d)),
              "v": rng.standard_normal((b, kv_heads, m, d))}
    arrays = {name: a.astype(TYPES[dtype]) for name, a in arrays.items()}
    if static.random() < 0.8:
        z_heads = int(static.choice([1, kv_heads, heads]))
        rope = dict(theta=10000.0, layout=str(static.choice(["half", "interleaved"])), dim=d // int(static.choice([1, 2])))
        arrays["zq"] = (rng.standard_normal((b, z_heads, n)) * float(static.choice([1, 30, 300]))).astype(np.float32)
        if static.random() < 0.3:
            rows = [kv_heads] if static.random() < 0.5 else []
            arrays["omega"] = (10.0 ** -rng.uniform(0, 4, (*rows, rope["dim"] // 2))).astype(np.float32)
    full = {}  # dimensions of bias and mask
    for name in ("bias", "mask"):
        if static.random() < 0.3:
            full[name] = tuple(static.random(4) < (0.6, 0.5, 0.7, 0.8))
            dims = [size if whole else 1 for size, whole in zip((b, heads, n, m), full[name])]
            arrays[name] = rng.standard_normal(dims).astype(TYPES[dtype]) if name == "bias" else rng.random(dims) < 0.6
    lengths = rng.integers(0, m + 1, b).astype(np.int32)
    arrays["lengths"] = lengths
    arrays["offset"] = (lengths - n + rng.integers(-3, 4, b)).astype(np.int32)
    return dtype, (heads, kv_heads, d, n_static, full), options, rope, arrays


def module(dtype, static, options, rope, shapes, paged):
    heads, kv_heads, d, n, full = static
    n = n or "?"
    types = {"q": f"?x{heads}x{n}x{d}x{dtype}", "k": f"?x{kv_heads}x?x{d}x{dtype}", "lengths": "?xi32", "offset": "?xi32"}
    types["v"] = types["k"]
    if "zq" in shapes:
        types["zq"] = f"?x{shapes['zq'][1]}x{n}xf32"
    if "omega" in shapes:
        types["omega"] = "x".join(map(str, shapes["omega"])) + "xf32"
    for name, element in (("bias", dtype), ("mask", "i1")):
        if name in full:
            sizes = [size if whole else 1 for size, whole in zip(("?", heads, n, "?"), full[name])]
            types[name] = "x".join(map(str, sizes)) + "x" + element
    types = {name: f"tensor<{kind}>" for name, kind in types.items()}
    out, lse, key = types["q"], f"tensor<?x{heads}x{n}xf32>", types["k"]
    views, table = "", ""
    if paged:
        types["k"] = types["v"] = f"tensor<?x{kv_heads}x{PAGE}x{d}x{dtype}>"
        types["table"] = table = "tensor<?x?xi32>"
        views = "".join(f"  %{x}_view = repo.cache_view %{x} table(%table) lengths(%lengths) : ({types[x]}, {table}, "
                        f"tensor<?xi32>) -> {key}\n" for x in "kv")
    attributes = [name if value is True else f"window = array<i64: {value[0]}, {value[1]}>" if name == "window" else
                  f"{name} = {value}" for name, value in options.items() if value]
    extra = [name for name in ("omega", "bias", "mask") if name in types]
    optional = ""
    if rope:
        attributes.append(f"rope = #repo.rope<theta = {rope['theta']}, dim = {rope['dim']}, layout = {rope['layout']}>")
        optional = "query_positions(%zq) "
    view = "_view" if paged else ""
    sizes = "%b, %n" if n == "?" else "%b"
    optional += "".join(f"{name}(%{name}) " for name in extra)
    operands = ", ".join([types["q"], key, key, *([types["zq"]] if rope else []), *(types[name] for name in extra),
                          "tensor<?xi32>, tensor<?xi32>", out, lse])
    return f"""func.func @f({", ".join(f"%{name}: {kind}" for name, kind in types.items())}) -> ({out}, {lse}) {{
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %b = tensor.dim %q, %c0 : {types["q"]}
  %n = tensor.dim %q, %c2 : {types["q"]}
{views}  %out = tensor.empty({sizes}) : {out}
  %lse = tensor.empty({sizes}) : {lse}
  %0:2 = repo.attention %q, %k{view}, %v{view} {optional}lengths(%lengths) offset(%offset) into %out, %lse
    {{{", ".join(attributes)}}} : ({operands}) -> ({out}, {lse})
  return %0#0, %0#1 : {out}, {lse}
}}""", list(types)


def to_pages(rng, arrays):
    """Keys and values [B, H, M, D] in pages of any order, some of them nobody's; the table, -1 past the lengths."""
    b, heads, m, d = arrays["k"].shape
    used = [-(-int(length) // PAGE) for length in arrays["lengths"]]
    order = rng.permutation(sum(used) + 2).astype(np.int32)
    table = np.full((b, m // PAGE), -1, np.int32)
    result = {}
    for i, count in enumerate(used):
        start = sum(used[:i])
        table[i, :count] = order[start:start + count]
    for x in "kv":
        pages = np.full((len(order), heads, PAGE, d), np.nan, arrays[x].dtype)
        for i, count in enumerate(used):
            for entry in range(count):
                pages[table[i, entry]] = arrays[x][i, :, entry * PAGE:(entry + 1) * PAGE]
        result[x] = pages
    return result | {"table": table}


@functools.lru_cache(maxsize=None)
def entry(source, folder, chip):
    return compile_emulated(source, folder, f"--chip={chip}")["f"]


def plain_errors(arrays, semantics, dtype, index):
    """The largest errors of a plain evaluation, of output and log-sum-exp."""
    rng, largest = np.random.default_rng(index), [0.0, 0.0]
    _, lse = reference.attention(**arrays, **semantics)
    for draw in range(16 if np.isfinite(lse).sum() < 16 else 1):
        if draw:
            arrays = arrays | {"q": rng.standard_normal(arrays["q"].shape).astype(arrays["q"].dtype)}
        exact = reference.attention(**arrays, **semantics)
        plain = reference.attention(**arrays, **semantics, dtype=TYPES[dtype])
        for i, (wanted, got) in enumerate(zip(exact, plain)):
            finite = np.isfinite(wanted)
            largest[i] = max(largest[i], np.abs(got[finite] - wanted[finite]).max(initial=0))
    return largest


def run(path, index, folder):
    """How near to its bound the error comes."""
    chip, _, paged = PATHS[path]
    dtype, static, options, rope, arrays = draw(path, index)
    source, order = module(dtype, static, options, rope, {name: a.shape for name, a in arrays.items()}, paged)
    given = dict(arrays)
    omega = arrays.pop("omega", None)
    if omega is not None:
        rope = rope | {"omega": omega}
    semantics = {name: value for name, value in options.items() if value} | ({"rope": rope} if rope else {})
    exact = reference.attention(**arrays, **semantics)
    errors = plain_errors(arrays, semantics, dtype, index)
    for x in "kv":
        given[x] = arrays[x].copy()
        for i, length in enumerate(arrays["lengths"]):
            given[x][i, :, length:] = np.nan
        if "mask" in arrays:
            b, heads, m, _ = given[x].shape
            seen = np.broadcast_to(arrays["mask"], (b, static[0], arrays["q"].shape[2], m)).any(axis=2)
            given[x][~seen.reshape(b, heads, -1, m).any(axis=2)] = np.nan
    if paged:
        given |= to_pages(np.random.default_rng(index), given)
    os.environ["REPO_EMULATOR_ORDER"] = str(index % 4)
    results = entry(source, folder, chip)(*(given[name] for name in order))
    nearest = 0.0
    rounding = ROUNDING["bfloat16" if dtype == "bf16" else "float16"]
    for got, wanted, bound, unit in zip(results, exact, errors, (rounding, 2e-6)):
        got, finite = np.asarray(got, np.float64), np.isfinite(wanted)
        assert np.array_equal(np.isfinite(got), finite), f"{path} {index}: not finite elsewhere"
        if not finite.any():
            continue
        largest = np.abs(wanted[finite]).max()
        error = np.abs(got[finite] - wanted[finite]).max()
        nearest = max(nearest, error / (2 * bound + unit * largest + 1e-30))
    assert nearest <= 1, f"{path} {index}: {nearest:.2f} of the bound; {static} {options} {rope}"
    return nearest


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(tmp_path_factory.mktemp("kernels"))


@pytest.mark.parametrize("path, kernel", [pytest.param(path, kernel, marks=pytest.mark.xdist_group(f"kernels {path}"))
                                          for path in PATHS for kernel in range(STATIC)])
def test_random(path, kernel, folder):
    for index in range(kernel, 300, STATIC):
        run(path, index, folder)


def main(count, paths):
    import tempfile
    with tempfile.TemporaryDirectory() as folder:
        for path in paths or PATHS:
            nearest = [run(path, index, folder) for index in range(count)]
            print(f"{path}: {count} configurations, {len({i % STATIC for i in range(count)})} kernels, nearest to the bound "
                  f"{max(nearest):.2f}, mean {np.mean(nearest):.2f}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
