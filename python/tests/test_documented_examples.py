"""The example of every op's documentation, extracted, compiled and run: the CPU path against the definition."""

import re

import ml_dtypes
import numpy as np
import pytest

import repo_mlir as repo
from conftest import ROOT

DEFINITIONS = "".join((ROOT / f"include/repo/Dialect/Repo/IR/Repo{kind}Ops.td").read_text()
                      for kind in ("Position", "Attention", "Cache", "Gradient"))
EXAMPLES = {name: text for name, text in re.findall(
    r'^def \w+ : \w+<(?:Repo_Dialect, )?"(\w+)".*?```mlir\n(.*?)```', DEFINITIONS, re.S | re.M)}
TYPES = {"f32": np.float32, "f64": np.float64, "bf16": ml_dtypes.bfloat16, "i32": np.int32, "i64": np.int64, "i1": np.bool_}
SIZE = 7  # of every dynamic dimension


def test_every_op_has_one():
    assert set(EXAMPLES) == set(re.findall(r'^def \w+ : \w+<(?:Repo_Dialect, )?"(\w+)"', DEFINITIONS, re.M))
    assert len(EXAMPLES) == 12


@pytest.mark.parametrize("name", EXAMPLES)
def test_example(name):
    numbers = np.random.default_rng(len(name))
    fast, definition = (repo.compile(EXAMPLES[name], pipeline=pipeline)["f"] for pipeline in ("cpu", "reference"))
    inputs = []
    for argument in fast.inputs:
        shape = [SIZE if isinstance(size, str) else size for size in argument["shape"]]
        dtype = TYPES[argument["dtype"]]
        # Integers are offsets, lengths, numbers of pages: small ones mean something in all of them.
        inputs.append(numbers.standard_normal(shape).astype(dtype) if np.dtype(dtype).kind in "fV"
                      else numbers.integers(1, 3, shape).astype(dtype))
    size = SIZE
    if name == "index_positions":
        inputs[-1] = np.array(SIZE)  # the size of the result, not an offset
    if name == "cache_view":
        size = SIZE * 64  # pages of 64 rows
    outputs = [np.zeros([size if isinstance(extent, str) else extent for extent in a["shape"]], TYPES[a["dtype"]])
               for a in fast.outputs]
    results = [run(entry, inputs, outputs) for entry in (fast, definition)]
    for found, wanted in zip(*results):
        assert np.isfinite(wanted).any() and (wanted != 0).any()
        rounding = 2.0 ** -7 if "bf16" in {a["dtype"] for a in fast.outputs} else 4e-6
        np.testing.assert_allclose(found, wanted, rtol=0, atol=rounding * np.abs(wanted[np.isfinite(wanted)]).max())


def run(entry, inputs, outputs):
    outputs = [x.copy() for x in outputs]
    entry(*inputs, out=tuple(outputs) if len(outputs) > 1 else outputs[0])
    return [x.astype(np.float64) for x in outputs]


@pytest.mark.parametrize("pipeline", ["cpu", "reference"])
def test_sizes_that_the_code_computes_are_checked(pipeline):
    """An output whose size no input has: compared when it is known, before a byte is written."""
    entry = repo.compile(EXAMPLES["index_positions"], pipeline=pipeline)["f"]
    buffer = np.full((2, 1, 16), -1, np.float32)
    at = np.array([3, 5], np.int32)
    for size in (7, 9):
        with pytest.raises(repo.RepoError, match=f"^f: `result0`: expected dimension 2 to be {size}, got 8$"):
            entry(at, size, out=buffer[..., 4:12])
        assert (buffer == -1).all()
    entry(at, 8, out=buffer[..., 4:12])
    assert np.array_equal(buffer[..., 4:12], at[:, None, None] + np.arange(8, dtype=np.float32))
    assert (buffer[..., :4] == -1).all() and (buffer[..., 12:] == -1).all()
