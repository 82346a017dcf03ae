"""Conversions to and from 16-bit floats: rounded once, to nearest, ties to even, with and without instructions for them."""

import ml_dtypes
import numpy as np
import pytest

import repo_mlir as repo

TYPES = {"f16": np.float16, "bf16": ml_dtypes.bfloat16, "f32": np.float32, "f64": np.float64}


def convert(values, source, target, cpu, pipeline):
    op = "truncf" if TYPES[source](0).itemsize > TYPES[target](0).itemsize else "extf"
    library = repo.compile(
        f"func.func @f(%x: tensor<?x{source}>) -> tensor<?x{target}> {{\n"
        f"  %0 = arith.{op} %x : tensor<?x{source}> to tensor<?x{target}>\n"
        f"  return %0 : tensor<?x{target}>\n}}\n", cpu=cpu, pipeline=pipeline)
    return library["f"](values)


def every(dtype):
    return np.arange(65536, dtype=np.uint16).view(dtype)


def ties(dtype):
    """The middle of every two neighbours, and the doubles beside it, with what each rounds to."""
    values = every(dtype).astype(np.float64)
    values = np.unique(values[np.isfinite(values)])
    low, high = values[:-1], values[1:]
    middle = (low + high) / 2
    with np.errstate(all="ignore"):
        even = (low.astype(dtype).view(np.uint16) & 1) == 0
    return (np.concatenate([middle, np.nextafter(middle, -np.inf), np.nextafter(middle, np.inf)]),
            np.concatenate([np.where(even, low, high), low, high]))


@pytest.mark.parametrize("pipeline", ["cpu", "reference"])
@pytest.mark.parametrize("cpu", ["x86-64", "native"])
@pytest.mark.parametrize("half", ["f16", "bf16"])
def test_half(half, cpu, pipeline):
    with np.errstate(all="ignore"):
        bits = every(TYPES[half])
        wide = bits.astype(np.float64)
        np.testing.assert_array_equal(convert(bits, half, "f64", cpu, pipeline), wide)
        back = convert(wide.astype(np.float32), "f32", half, cpu, pipeline)
        np.testing.assert_array_equal(back.astype(np.float64), wide)
        values, expected = ties(TYPES[half])
        got = convert(values, "f64", half, cpu, pipeline).astype(np.float64)
        np.testing.assert_array_equal(got, expected)
        huge = convert(np.array([1e300, -1e300, np.inf, np.nan]), "f64", half, cpu, pipeline)
        np.testing.assert_array_equal(huge.astype(np.float64), [np.inf, -np.inf, np.inf, np.nan])
