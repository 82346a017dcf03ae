"""Elementwise functions of compiled code against float64, over their whole range."""

import numpy as np
import pytest

import repo_mlir as repo

SOURCE = """func.func @f(%x: tensor<?xf32>) -> tensor<?xf32> {{
  %0 = math.{name} %x : tensor<?xf32>
  return %0 : tensor<?xf32>
}}"""
# The exact function, units in the last place, and where it is tried: all that gives neither zero nor infinity.
FUNCTIONS = {"exp": (np.exp, 2, lambda u: -104 + 193 * u), "exp2": (np.exp2, 2, lambda u: -150 + 278.5 * u),
             "log": (np.log, 4, lambda u: np.exp2(253 * u - 126)), "tanh": (np.tanh, 8, lambda u: 20 * u - 10)}


@pytest.mark.parametrize("name", FUNCTIONS)
@np.errstate(over="ignore")
def test_error(name):
    exact, ulps, place = FUNCTIONS[name]
    rng = np.random.default_rng(0)
    x = np.concatenate([place(rng.random(200000)), 1 + 0.5 * rng.standard_normal(50000)]).astype(np.float32)
    x = x[x > 0] if name == "log" else x
    wanted = exact(x.astype(np.float64))
    got = repo.compile(SOURCE.format(name=name))["f"](x).astype(np.float64)
    finite = np.isfinite(wanted.astype(np.float32))
    assert (np.isinf(got) == ~finite).all()
    unit = np.spacing(np.abs(wanted[finite]).clip(2.0 ** -126).astype(np.float32))
    error = np.abs(got - wanted)[finite] / unit
    assert error.max() <= ulps, (error.max(), x[finite][error.argmax()])


@pytest.mark.parametrize("name, x, wanted", [
    ("exp", [np.nan, np.inf, -np.inf, 0, -200, 200], [np.nan, np.inf, 0, 1, 0, np.inf]),
    ("exp2", [np.nan, np.inf, -np.inf, 0, -200, 200, 7, -149], [np.nan, np.inf, 0, 1, 0, np.inf, 128, 2.0 ** -149])])
def test_ends(name, x, wanted):
    got = repo.compile(SOURCE.format(name=name))["f"](np.float32(x))
    np.testing.assert_array_equal(got, np.float32(wanted))
