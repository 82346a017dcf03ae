"""Code for the matrix unit (AMX), by emulation of its instructions, against float64."""

import subprocess

import ml_dtypes
import numpy as np
import pytest

import repo_mlir as repo
from conftest import BUILD, ROOT

BF16 = ml_dtypes.bfloat16


def compile_emulated(source, path, *flags):
    subprocess.run([str(BUILD / "bin" / "repo-compile"), "-", "--emulate=amx", "-o", str(path), *flags],
                   input=source, text=True, check=True, timeout=300)
    return repo.Library(str(path))


@pytest.mark.parametrize("cpu", ["native", "x86-64-v3"])
def test_tile_instructions(tmp_path, cpu):
    """Shapes smaller than a register, sums carried by a loop, subnormal numbers as zero."""
    f = compile_emulated((ROOT / "test/Target/emulate-tiles.mlir").read_text(), tmp_path / "f.so", f"--cpu={cpu}")["f"]
    rng = np.random.default_rng(0)
    a, w = (rng.standard_normal(shape).astype(BF16) for shape in ((12, 64), (64, 16)))
    a[3], w[:, 5] = 1e-39, 1e-17
    a[4], w[:, 6] = 1e-20, 1e-25
    panels = w.reshape(2, 16, 2, 16).transpose(0, 1, 3, 2).reshape(2, 16, 32).copy()
    wanted = a.astype(np.float64) @ w.astype(np.float64)
    wanted[3] = wanted[4, 6] = 0
    out = f(a, panels)
    assert np.abs(out - wanted).max() <= 2e-6 * np.abs(wanted).max()
    assert not out[3].any() and out[4, 6] == 0 and out[4, 5] != 0
