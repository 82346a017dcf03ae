"""Attention on tensor cores, on the emulator, against float64: the very LLVM IR that becomes PTX.

Bounds: twice the error of a plain evaluation in the type. Sizes of batch, queries and keys are the library's to take.
"""

import functools
import os

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file

import reference
import repo_mlir as repo
from conftest import GOLDEN
from test_emulator import compile_emulated
from test_operators_golden import ATTENTION, metadata

pytestmark = pytest.mark.xdist_group("emulator")  # one process: they share compiled kernels

TYPES = {"bf16": ml_dtypes.bfloat16, "f16": np.float16}
CHIPS = ["sm_80", "sm_90a"]  # mma.sync and wgmma


def module(shapes, dtype, options, few=False):
    """A function of the operands in `shapes`, by their names, that returns output and log-sum-exp; the number of queries is
    static where they are few."""
    names = {"zq": "query_positions", "zk": "key_positions"}
    element = {"q": dtype, "k": dtype, "v": dtype, "bias": dtype, "mask": "i1", "lengths": "i32", "offset": "i32"}
    dynamic = {"bias": (False, False, True, True), "mask": (False, False, True, True), "lengths": (True,), "offset": (True,)}

    def tensor(shape, which, kind):
        return "tensor<" + "x".join("?" if d else str(s) for s, d in zip(shape, which)) + "x" + kind + ">"

    if few:
        dynamic |= {n: (False,) * 4 for n in ("q", "zq")} | {n: (False, False, False, True) for n in ("bias", "mask")}
    types = {n: tensor(s, dynamic.get(n, (True, False, True, False)), element.get(n, "f32")) for n, s in shapes.items()}
    optional = " ".join(f"{names.get(n, n)}(%{n})" for n in shapes if n not in "qkv")
    q = shapes["q"]
    out, lse = tensor(q, (not few, False, not few, False), dtype), tensor(q[:3], (not few, False, not few), "f32")
    sizes = "" if few else "%b, %n"
    return f"""func.func @f({", ".join(f"%{n}: {t}" for n, t in types.items())}) -> ({out}, {lse}) {{
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %b = tensor.dim %q, %c0 : {types["q"]}
  %n = tensor.dim %q, %c2 : {types["q"]}
  %out = tensor.empty({sizes}) : {out}
  %lse = tensor.empty({sizes}) : {lse}
  %0:2 = repo.attention %q, %k, %v {optional} into %out, %lse {{{options}}}
    : ({", ".join([*types.values(), out, lse])}) -> ({out}, {lse})
  return %0#0, %0#1 : {out}, {lse}
}}"""


@functools.lru_cache(maxsize=None)
def entry(source, folder, chip):
    return compile_emulated(source, folder, f"--chip={chip}")["f"]


def run(folder, arrays, dtype, options, chip, orders=(0,), exact=None, **semantics):
    folder = folder / chip
    folder.mkdir(exist_ok=True)
    typed = {n: a.astype(TYPES[dtype]) if n in ("q", "k", "v", "bias") else a if a.dtype in (np.int32, bool) else a.astype(np.float32)
             for n, a in arrays.items()}
    function = entry(module({n: a.shape for n, a in typed.items()}, dtype, options), str(folder), chip)
    exact = exact or reference.attention(**typed, **semantics)
    plain = reference.attention(**typed, **semantics, dtype=TYPES[dtype])
    first = None
    for order in orders:
        os.environ["REPO_EMULATOR_ORDER"] = str(order)
        results = function(*typed.values())
        for got, wanted, other in zip(results, exact, plain):
            got, finite = np.asarray(got, np.float64), np.isfinite(wanted)
            assert np.array_equal(np.isfinite(got), finite)
            error, bound = (np.abs(x[finite] - wanted[finite]).max(initial=0) for x in (got, other))
            assert error <= 2 * bound + 2e-6 * np.abs(wanted[finite]).max(initial=0)
        out = np.asarray(results[0]).view(np.uint16).copy()
        first = out if first is None else first
        assert np.array_equal(first, out), f"other bits in order {order}"


def draw(b, h, hkv, n, m, d, seed=0, **more):
    rng = np.random.default_rng(seed)
    shapes = {"q": (b, h, n, d), "k": (b, hkv, m, d), "v": (b, hkv, m, d)}
    arrays = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    for name, shape in more.items():
        arrays[name] = shape if isinstance(shape, np.ndarray) else rng.standard_normal(shape) * (30 if name[0] == "z" else 1)
    return arrays


def integers(*values):
    return np.array(values, np.int32)


ROPE = {"theta": 10000.0}
CASES = {
    # A tile of queries that is not full, the diagonal off the grid; every order of threads.
    "causal-128": (draw(1, 2, 1, 100, 150, 128, zq=(1, 2, 100)), "bf16", "causal, rope = #repo.rope<theta = 10000.0, dim = 128>",
                   dict(causal=True, rope=ROPE, orders=range(7))),
    # Fewer keys than queries: rows without keys.
    "short": (draw(1, 1, 1, 100, 40, 128), "bf16", "causal", dict(causal=True)),
    "window-f16": (draw(2, 4, 2, 70, 330, 64, zq=(2, 1, 70)), "f16",
                   "causal, window = array<i64: 40, 3>, rope = #repo.rope<theta = 10000.0, dim = 64, layout = interleaved>",
                   dict(causal=True, window=(40, 3), rope=ROPE | {"layout": "interleaved"}, orders=(0, 5))),
    "softcap-bias": (draw(1, 2, 2, 65, 130, 64, bias=(1, 1, 65, 130)), "bf16", "softcap = 5.0", dict(softcap=5.0)),
    "lengths": (draw(3, 2, 1, 17, 130, 64, lengths=integers(0, 66, 130), offset=integers(3, 60, -4)),
                "f16", "causal, scale = 0.2", dict(causal=True, scale=0.2)),
    "keys-turn": (draw(1, 2, 1, 40, 70, 128, zq=(1, 2, 40), zk=(1, 1, 70)), "bf16",
                  "causal, rope = #repo.rope<theta = 10000.0, dim = 64>", dict(causal=True, rope=ROPE | {"dim": 64})),
}


# Few queries of heads that share keys, in both orders of heads and queries.
FEW = draw(2, 8, 2, 3, 150, 64, zq=(2, 8, 3), bias=(1, 8, 3, 150), mask=np.random.default_rng(2).random((2, 8, 3, 150)) < 0.5)
NHD = ", ".join(f"affine_map<(b, h, n, m, d, e) -> (b, {t}, h, {c})>" for t, c in (("n", "d"), ("m", "d"), ("m", "e"), ("n", "e")))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("kernels")


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("name", CASES)
def test_attention(folder, name, chip):
    arrays, dtype, options, semantics = CASES[name]
    run(folder, arrays, dtype, options, chip, **semantics)


@pytest.mark.parametrize("layouts", [None, NHD])
def test_few_queries_of_several_heads(folder, layouts):
    typed = {n: a.astype(TYPES["bf16"]) if n in ("q", "k", "v", "bias") else a if a.dtype == bool else a.astype(np.float32)
             for n, a in FEW.items()}
    exact, _ = reference.attention(**typed, causal=True, rope=ROPE)
    plain, _ = reference.attention(**typed, causal=True, rope=ROPE, dtype=TYPES["bf16"])
    source = module({n: a.shape for n, a in typed.items()}, "bf16", "causal, rope = #repo.rope<theta = 10000.0, dim = 64>", few=True)
    if layouts:
        source = source.replace("2x8x3x64", "2x3x8x64").replace("?x2x?x64", "?x?x2x64").replace("{causal", f"{{layouts = [{layouts}], causal")
        typed |= {n: np.swapaxes(typed[n], 1, 2).copy() for n in "qkv"}
    for order in (0, 1):
        os.environ["REPO_EMULATOR_ORDER"] = str(order)
        out = np.asarray(entry(source, str(folder), "sm_80")(*typed.values())[0], np.float64)
        error, bound = (np.abs(x - exact).max() for x in (np.swapaxes(out, 1, 2) if layouts else out, plain))
        assert error <= 2 * bound


@pytest.mark.parametrize("chip", CHIPS)
def test_garbage_stays_out(folder, chip):
    """Keys and values that no query of a block sees may be NaN."""
    arrays = draw(1, 1, 1, 64, 200, 64, lengths=integers(100), offset=integers(20))
    for name in "kv":
        arrays[name][:, :, 100:] = np.nan
    run(folder, arrays, "bf16", "causal", chip, causal=True)


@pytest.mark.parametrize("chip", CHIPS)
def test_hidden_garbage_stays_out(folder, chip):
    """Keys and values that a mask hides from all queries of a block may be NaN: for that block they are not there."""
    mask = np.random.default_rng(1).random((1, 1, 256, 200)) < 0.5
    mask[:, :, 128:, 30:70] = mask[:, :, :, 130] = mask[:, :, 7] = False
    arrays = draw(1, 2, 1, 256, 200, 64, mask=mask)
    for name in "kv":
        arrays[name][:, :, 130] = np.nan
    run(folder, arrays, "bf16", "scale = 0.125", chip, orders=(0, 1, 2))
    # What the first block sees and the second does not.
    typed = {n: a.astype(TYPES["bf16"]) for n, a in arrays.items() if n in "qkv"}
    function = entry(module({n: a.shape for n, a in arrays.items()}, "bf16", "scale = 0.125"), str(folder / chip), chip)
    for name in "kv":
        typed[name][:, :, 30:70] = np.nan
    out, lse = function(typed["q"], typed["k"], typed["v"], mask)
    assert np.isnan(np.asarray(out[:, :, :128], np.float32)).any()
    seen = typed | {"q": typed["q"][:, :, 128:], "mask": mask[:, :, 128:]}
    wanted, wanted_lse = reference.attention(**seen)
    assert np.abs(out[:, :, 128:].astype(np.float64) - wanted).max() < 2.0 ** -7 * np.abs(wanted).max()
    assert np.abs(lse[:, :, 128:] - wanted_lse).max() < 1e-2


def test_tensors_of_the_copy_engine(folder):
    """Addresses that TMA does not take are one line; no keys at all are no keys."""
    arrays, dtype, options, _ = CASES["short"]
    q, k, v = (arrays[n].astype(TYPES[dtype]) for n in "qkv")
    chip = "sm_90a"
    (folder / chip).mkdir(exist_ok=True)
    function = entry(module({"q": q.shape, "k": k.shape, "v": v.shape}, dtype, options), str(folder / chip), chip)
    odd = np.zeros(k.size + 1, k.dtype)[1:].reshape(k.shape)
    with pytest.raises(repo.RepoError, match="expected the rows of the attention's .key. to begin at multiples of 16 bytes"):
        function(q, odd, v)
    out, lse = function(q, k[:, :, :0], v[:, :, :0])
    assert not np.asarray(out, np.float32).any() and np.isneginf(lse).all()


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", ATTENTION)
def test_golden(folder, name, dtype):
    x, about = load_file(GOLDEN / f"{name}.safetensors"), metadata(name)
    window = None if about["window"] == "None" else int(about["window"])
    options = [f"rope = #repo.rope<theta = {float(about['theta'])}, dim = {x['q'].shape[-1]}, layout = {about['layout']}>"]
    if about["causal"] == "True":
        options.append("causal")
    if window is not None:
        options.append(f"window = array<i64: {window - 1}, 0>")
    for chip in CHIPS:
        run(folder, {n: x[n] for n in ("q", "k", "v", "zq", "zk")}, dtype, ", ".join(options), chip,
            exact=(x["out"].astype(np.float64), x["lse"].astype(np.float64)), causal=about["causal"] == "True", window=window,
            rope=dict(theta=float(about["theta"]), layout=about["layout"]))
