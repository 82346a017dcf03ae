"""Operators compiled for other CPUs than the host's, run where the host has what the code needs.

The other tests run what is compiled for the host itself. A level the host lacks is skipped here; its code is checked
by its assembly (test_cpu_path.py), that of the matrix unit by emulation (test_matrix_unit.py).
"""

import functools

import pytest

import levels
import repo_mlir as repo
import test_onnx
import test_operators_golden
import test_random
from repo_mlir import cache


@pytest.fixture(params=levels.LEVELS)
def level(request, monkeypatch):
    """Functions of repo_mlir run code for this level."""
    if request.param not in levels.others_of_host():
        pytest.skip(levels.state(request.param))
    monkeypatch.setattr(repo.ops, "_entry", functools.partial(entry, request.param))


@functools.lru_cache(maxsize=None)
def entry(cpu, source, pipeline):
    return repo.Library(cache.compiled(source, cpu=cpu, pipeline=pipeline))["f"]


@pytest.mark.parametrize("name", test_operators_golden.ATTENTION)
def test_golden_attention(level, name):
    test_operators_golden.test_attention(name, "float32")


def test_golden_layer(level):
    test_operators_golden.test_positions()
    test_operators_golden.test_layer()


@pytest.mark.parametrize("case", test_onnx.CASES, ids=lambda case: case.name)
def test_onnx_case(level, case):
    test_onnx.test_case(case)


# Configurations 40 apart differ in sizes and values, not in what is compiled.
@pytest.mark.parametrize("static", range(0, test_random.STATIC, 2))
def test_configurations(level, static):
    """Against float64: short types, rows without keys, garbage past the lengths, which may be NaN."""
    for draw in range(3):
        test_random.run(static + test_random.STATIC * draw)
