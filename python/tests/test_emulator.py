"""The NVIDIA path's kernels, run on the CPU by the emulator, against the float64 reference.

The same configurations and bounds as test_random.py; only the code that runs is other. `python
python/tests/test_emulator.py 300` runs that many.
"""

import ctypes
import functools
import os
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest

import conftest
import reference
import repo_mlir as repo
import test_random

pytestmark = pytest.mark.xdist_group("emulator")  # one process: they share compiled kernels

# Libraries of emulated kernels find the emulator among what is loaded for all.
ctypes.CDLL(str(conftest.BUILD / "lib" / "librepo_emulator.so"), mode=ctypes.RTLD_GLOBAL)


def compile_emulated(source, folder, *flags):
    path = os.path.join(folder, f"{abs(hash(source))}.so")
    subprocess.run([str(conftest.BUILD / "bin" / "repo-compile"), "-", "--target=cuda", "--emulate", "-o", path, *flags],
                   input=source, text=True, check=True, timeout=300)
    return repo.Library(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(tmp_path_factory.mktemp("emulated"))


@functools.lru_cache(maxsize=None)
def emulated_entry(source, folder):
    return compile_emulated(source, folder)["f"]


@pytest.fixture
def emulated(monkeypatch, folder):
    """Functions of repo_mlir run emulated kernels."""
    monkeypatch.setattr(repo.ops, "_entry", lambda source, pipeline: emulated_entry(source, folder))


@pytest.mark.parametrize("index", range(0, 80, 2))
def test_attention(emulated, index):
    test_random.run(index)


@pytest.mark.parametrize("dtype, bound", [(np.float32, 2e-6), (ml_dtypes.bfloat16, 2.0 ** -8), (np.float16, 2.0 ** -11)])
@pytest.mark.parametrize("layout", ["half", "interleaved"])
def test_rotate(emulated, dtype, bound, layout):
    rng = np.random.default_rng(3)
    x = rng.standard_normal((2, 3, 37, 24)).astype(dtype)
    z = (rng.standard_normal((2, 3, 37)) * 20).astype(np.float32)
    y = repo.rotate(x, z, repo.Rope(theta=10000.0, dim=20, layout=layout))
    wanted = reference.rotate(x, z, theta=10000.0, dim=20, layout=layout)
    # The phase z * omega is a float32: it errs by half a unit in the last place of up to 100.
    assert np.abs(y.astype(np.float64) - wanted).max() <= bound * np.abs(wanted).max() + 4e-6 * np.abs(x.astype(float)).max()


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16, np.float16])
def test_assign_positions(emulated, dtype):
    rng = np.random.default_rng(4)
    h, gate, content, heads = (rng.standard_normal(s).astype(dtype) for s in ((2, 19, 64), (8, 64), (8, 64), (3, 8)))
    z = repo.assign_positions(h, gate, content, heads)
    wanted = reference.assign_positions(*(a.astype(np.float64) for a in (h, gate, content, heads)))
    assert np.abs(z - wanted).max() <= 4e-6 * np.abs(wanted).max()


POSITIONS = """
func.func @f(%h: tensor<?x?x64xbf16>, %w: tensor<3x64xbf16>, %at: tensor<?xi32>) -> tensor<?x3x?xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %b = tensor.dim %h, %c0 : tensor<?x?x64xbf16>
  %n = tensor.dim %h, %c1 : tensor<?x?x64xbf16>
  %z = repo.linear_positions %h heads(%w) : (tensor<?x?x64xbf16>, tensor<3x64xbf16>) -> tensor<?x3x?xf32>
  %i = repo.index_positions sizes(%b, %n) offset(%at) : (index, index, tensor<?xi32>) -> tensor<?x1x?xf32>
  %r = repo.blend_positions %z, %i {weight = 0.25 : f64} : (tensor<?x3x?xf32>, tensor<?x1x?xf32>) -> tensor<?x3x?xf32>
  return %r : tensor<?x3x?xf32>
}
"""


def test_linear_and_blended_positions(folder):
    rng = np.random.default_rng(7)
    h, w = (rng.standard_normal(s).astype(ml_dtypes.bfloat16) for s in ((2, 21, 64), (3, 64)))
    at = np.array([4, 100], np.int32)
    linear = np.einsum("bnd,hd->bhn", h.astype(np.float64), w.astype(np.float64))
    wanted = 0.75 * linear + 0.25 * (at[:, None, None] + np.arange(21))
    z = emulated_entry(POSITIONS, folder)(h, w, at)
    assert np.abs(z - wanted).max() <= 2e-6 * np.abs(wanted).max()


APPEND = """
func.func @f(%k: tensor<?x2x?x16xbf16>, %v: tensor<?x2x?x12xbf16>, %z: tensor<?x2x?xf32>, %at: tensor<?xi32>,
    %kc: tensor<?x2x?x16xbf16> {repo.inout = 0 : index}, %vc: tensor<?x2x?x12xbf16> {repo.inout = 1 : index})
    -> (tensor<?x2x?x16xbf16>, tensor<?x2x?x12xbf16>) {
  %r:2 = repo.cache_append %k, %v positions(%z) at(%at) into %kc, %vc {rope = #repo.rope<theta = 1.0E+4, dim = 16>}
    : (tensor<?x2x?x16xbf16>, tensor<?x2x?x12xbf16>, tensor<?x2x?xf32>, tensor<?xi32>, tensor<?x2x?x16xbf16>,
       tensor<?x2x?x12xbf16>) -> (tensor<?x2x?x16xbf16>, tensor<?x2x?x12xbf16>)
  return %r#0, %r#1 : tensor<?x2x?x16xbf16>, tensor<?x2x?x12xbf16>
}
"""


@pytest.mark.parametrize("order", [None, "1", "2"])
def test_cache_append(folder, monkeypatch, order):
    """A place per sequence: one block whose threads meet at barriers, in any order. Rows out of range are dropped."""
    if order:
        monkeypatch.setenv("REPO_EMULATOR_ORDER", order)
    rng = np.random.default_rng(5)
    k, v, kc, vc = (rng.standard_normal(s).astype(ml_dtypes.bfloat16)
                    for s in ((4, 2, 5, 16), (4, 2, 5, 12), (4, 2, 30, 16), (4, 2, 30, 12)))
    z = (rng.standard_normal((4, 2, 5)) * 10).astype(np.float32)
    at = np.array([0, 11, 27, -2], np.int32)
    rows = reference.rotate(k, z, theta=10000.0)
    wanted_k, wanted_v = kc.astype(np.float64), vc.copy()
    for b, first in enumerate(at):
        for n in range(5):
            if 0 <= first + n < 30:
                wanted_k[b, :, first + n] = rows[b, :, n]
                wanted_v[b, :, first + n] = v[b, :, n]
    emulated_entry(APPEND, folder)(k, v, z, at, kc, vc)
    assert np.array_equal(vc.view(np.uint16), wanted_v.view(np.uint16))
    assert np.abs(kc.astype(np.float64) - wanted_k).max() <= 2.0 ** -8 * np.abs(wanted_k).max()


PAGED = """
func.func @f(%k: tensor<?x2x?x16xf16>, %v: tensor<?x2x?x16xf16>, %z: tensor<?x2x?xf32>, %at: tensor<?xi32>,
    %kc: tensor<?x2x4x16xf16> {repo.inout = 0 : index}, %vc: tensor<?x2x4x16xf16> {repo.inout = 1 : index},
    %table: tensor<?x?xi32>) -> (tensor<?x2x4x16xf16>, tensor<?x2x4x16xf16>) {
  %r:2 = repo.cache_append %k, %v positions(%z) at(%at) table(%table) into %kc, %vc
      {rope = #repo.rope<theta = 1.0E+4, dim = 16>}
    : (tensor<?x2x?x16xf16>, tensor<?x2x?x16xf16>, tensor<?x2x?xf32>, tensor<?xi32>, tensor<?x?xi32>,
       tensor<?x2x4x16xf16>, tensor<?x2x4x16xf16>) -> (tensor<?x2x4x16xf16>, tensor<?x2x4x16xf16>)
  return %r#0, %r#1 : tensor<?x2x4x16xf16>, tensor<?x2x4x16xf16>
}
"""


def test_paged_cache_append(folder):
    rng = np.random.default_rng(6)
    k, v, kc, vc = (rng.standard_normal(s).astype(np.float16)
                    for s in ((2, 2, 7, 16), (2, 2, 7, 16), (9, 2, 4, 16), (9, 2, 4, 16)))
    z = (rng.standard_normal((2, 2, 7)) * 10).astype(np.float32)
    at, table = np.array([3, 6], np.int32), np.array([[8, 1, -1, 0], [2, 3, 4, 7]], np.int32)
    rows = reference.rotate(k, z, theta=10000.0)
    wanted_k, wanted_v = kc.astype(np.float64), vc.copy()
    for b in range(2):
        for n in range(7):
            page, row = table[b, (at[b] + n) // 4], (at[b] + n) % 4
            if page >= 0:
                wanted_k[page, :, row] = rows[b, :, n]
                wanted_v[page, :, row] = v[b, :, n]
    emulated_entry(PAGED, folder)(k, v, z, at, kc, vc, table)
    assert np.array_equal(vc, wanted_v)
    assert np.abs(kc.astype(np.float64) - wanted_k).max() <= 2.0 ** -10 * np.abs(wanted_k).max()


def main(count):
    import tempfile
    with tempfile.TemporaryDirectory() as folder:
        repo.ops._entry = lambda source, pipeline: emulated_entry(source, folder)
        test_random.main(count)


if __name__ == "__main__":
    main(int(sys.argv[1]))
