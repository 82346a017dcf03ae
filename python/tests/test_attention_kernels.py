"""Attention on tensor cores: the very LLVM IR that becomes PTX, on the emulator, against float64.

Bounds: twice the error of a plain evaluation in the type. Sizes are static here, so that a launch's arguments are
buffers alone, read from the host's IR.
"""

import re
import subprocess

import ml_dtypes
import numpy as np
import pytest

import conftest
import emulation
import reference

TYPES = {"bf16": ml_dtypes.bfloat16, "f16": np.float16, "f32": np.float32, "i32": np.int32}


def tensor(shape, dtype):
    return "tensor<" + "x".join(map(str, shape)) + "x" + dtype + ">"


def module(arrays, dtype, options):
    """A function of the operands in `arrays`, by their names, that returns output and log-sum-exp."""
    names = {"zq": "query_positions", "zk": "key_positions"}
    types = {name: tensor(a.shape, dtype if name in "qkv" else {"int32": "i32"}.get(a.dtype.name, "f32"))
             for name, a in arrays.items()}
    if "bias" in arrays:
        types["bias"] = tensor(arrays["bias"].shape, dtype)
    optional = " ".join(f"{names.get(n, n)}(%{n})" for n in arrays if n not in "qkv")
    q = arrays["q"].shape
    out, lse = tensor(q[:3] + arrays["v"].shape[3:], dtype), tensor(q[:3], "f32")
    return f"""func.func @f({", ".join(f"%{n}: {t}" for n, t in types.items())}) -> ({out}, {lse}) {{
  %out = tensor.empty() : {out}
  %lse = tensor.empty() : {lse}
  %0:2 = repo.attention %q, %k, %v {optional} into %out, %lse {{{options}}}
    : ({", ".join([*types.values(), out, lse])}) -> ({out}, {lse})
  return %0#0, %0#1 : {out}, {lse}
}}"""


class Function:
    """All launches of a function on static shapes, in order."""

    def __init__(self, source, folder, chip):
        def compiled(*flags):
            done = subprocess.run([str(conftest.BUILD / "bin" / "repo-compile"), "-", "--target=cuda", f"--chip={chip}", *flags,
                                   "-o", "-"], input=source, text=True, capture_output=True, timeout=120)
            assert not done.returncode, done.stderr
            return done.stdout

        self.host = compiled("--stop-after=vector")
        self.kernels = emulation.Kernels(compiled("--emit=llvm"), folder / "kernels.so")
        self.constants = {name: int(value) for name, value in
                          re.findall(r"(%\w+) = arith.constant (-?\d+) : (?:index|i32)", self.host)}
        self.launches = re.findall(r"gpu.launch_func\s+@kernels::@(\w+) blocks in \(([^)]*)\) threads in \(([^)]*)\)\s*"
                                   r"(?:dynamic_shared_memory_size (\S+))?\s*args\((.*)\)", self.host)

    def __call__(self, inputs, outputs, order):
        buffers = {f"%arg{i + 1}": a for i, a in enumerate([*inputs, *outputs])}
        for name, shape, dtype in re.findall(r"(%\w+) = memref.alloc\(\).*: memref<((?:\d+x)+)(\w+)>", self.host):
            buffers[name] = np.zeros([int(s) for s in shape.split("x")[:-1]], TYPES[dtype])
        for name, grid, block, shared, arguments in self.launches:
            used = [buffers[a] for a in re.findall(r"(%\w+) : ", arguments)]
            self.launch(name, *(tuple(self.constants[v.strip()] for v in x.split(",")) for x in (grid, block)),
                        self.constants[shared] if shared else 0, used, order)

    def launch(self, name, grid, block, shared, buffers, order):
        # A buffer is two pointers, an offset, sizes and strides.
        values = []
        for a in buffers:
            values += [a.ctypes.data, a.ctypes.data, 0, *a.shape, *(s // a.itemsize for s in a.strides)]
        self.kernels.launch_words(name, grid, block, shared, values, buffers, order)


def run(folder, arrays, dtype, options, chip="sm_80", orders=(0,), **semantics):
    typed = {n: np.ascontiguousarray(a, TYPES[dtype]) if n in ("q", "k", "v", "bias") else
             np.ascontiguousarray(a, None if a.dtype == np.int32 else np.float32) for n, a in arrays.items()}
    function = Function(module(typed, dtype, options), folder, chip)
    exact = reference.attention(**typed, **semantics)
    plain = reference.attention(**typed, **semantics, dtype=TYPES[dtype])
    first = None
    for order in orders:
        out = np.full(exact[0].shape, np.nan, TYPES[dtype])
        lse = np.full(exact[1].shape, np.nan, np.float32)
        function(list(typed.values()), [out, lse], order)
        for got, wanted, other in zip((out, lse), exact, plain):
            got, finite = got.astype(np.float64), np.isfinite(wanted)
            assert np.array_equal(np.isfinite(got), finite)
            error, bound = (np.abs(x - wanted)[finite].max(initial=0) for x in (got, other))
            assert error <= 2 * bound + 2e-6 * np.abs(wanted[finite]).max(initial=0)
        first = out if first is None else first
        assert np.array_equal(first.view(np.uint16), out.view(np.uint16)), f"other bits in order {order}"


def draw(b, h, hkv, n, m, d, seed=0, **more):
    rng = np.random.default_rng(seed)
    shapes = {"q": (b, h, n, d), "k": (b, hkv, m, d), "v": (b, hkv, m, d)}
    arrays = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    for name, shape in more.items():
        arrays[name] = shape if isinstance(shape, np.ndarray) else rng.standard_normal(shape) * (30 if name[0] == "z" else 1)
    return arrays


ROPE = {"theta": 10000.0}
CASES = {
    # One tile of queries that is not full, the diagonal off the grid; every order of threads.
    "causal-128": (draw(1, 2, 1, 100, 150, 128, zq=(1, 2, 100)), "bf16", "causal, rope = #repo.rope<theta = 10000.0, dim = 128>",
                   dict(causal=True, rope=ROPE, orders=range(7))),
    # Fewer keys than queries: rows without keys.
    "short": (draw(1, 1, 1, 100, 40, 128), "bf16", "causal", dict(causal=True)),
    "window-f16": (draw(2, 4, 2, 70, 230, 64, zq=(2, 1, 70)), "f16",
                   "causal, window = array<i64: 40, 3>, rope = #repo.rope<theta = 10000.0, dim = 64, layout = interleaved>",
                   dict(causal=True, window=(40, 3), rope=ROPE | {"layout": "interleaved"}, orders=(0, 5))),
    "softcap-bias": (draw(1, 2, 2, 65, 130, 64, bias=(1, 1, 65, 130)), "bf16", "softcap = 5.0", dict(softcap=5.0)),
    "lengths": (draw(3, 2, 1, 17, 130, 64, lengths=np.array([0, 66, 130], np.int32), offset=np.array([3, 60, -4], np.int32)),
                "f16", "causal, scale = 0.2", dict(causal=True, scale=0.2)),
    "keys-turn": (draw(1, 2, 1, 40, 70, 128, zq=(1, 2, 40), zk=(1, 1, 70)), "bf16",
                  "causal, rope = #repo.rope<theta = 10000.0, dim = 64>", dict(causal=True, rope=ROPE | {"dim": 64})),
}


@pytest.mark.parametrize("name", CASES)
def test_attention(tmp_path, name):
    arrays, dtype, options, semantics = CASES[name]
    run(tmp_path, arrays, dtype, options, **semantics)


def test_garbage_stays_out(tmp_path):
    """Keys and values that no query of a block sees may be NaN."""
    arrays = draw(1, 1, 1, 64, 200, 64, lengths=np.array([100], np.int32), offset=np.array([20], np.int32))
    for name in "kv":
        arrays[name][:, :, 100:] = np.nan
    run(tmp_path, arrays, "bf16", "causal", causal=True)
