"""Kernels in the NVVM dialect on the emulator, against float64, under orders of threads and asynchronous work."""

import ml_dtypes
import numpy as np
import pytest

import emulation
import gpu_kernels
import repo_mlir as repo


def inputs(m, n, k):
    rng = np.random.default_rng(m + n + k)
    a, b = (rng.standard_normal((rows, k)).astype(ml_dtypes.bfloat16) for rows in (m, n))
    return a, b, a.astype(np.float64) @ b.astype(np.float64).T


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kernels")
    made = {}

    def get(name):
        if name not in made:
            source = {"mma": gpu_kernels.mma_gemm, "wgmma": gpu_kernels.wgmma_gemm,
                      "wgmma-register-a": lambda: gpu_kernels.wgmma_gemm(3, register_a=True)}[name]()
            made[name] = emulation.Kernels(emulation.to_llvm(source), folder / f"{name}.so")
        return made[name]

    return get


def run_mma(kernels, m, n, k, order):
    a, b, wanted = inputs(m, n, k)
    c = np.full((m, n), np.nan, np.float32)
    kernels.launch("mma_gemm", (n // 16, m // 32, 1), (64, 1, 1), 7680, (a, b, c, k, n), order)
    return c, wanted


def run_wgmma(kernels, m, n, k, order, stages=2):
    a, b, wanted = inputs(m, n, k)
    c = np.full((m, n), np.nan, np.float32)
    maps = [emulation.TensorMap(x, (64, 64)) for x in (a, b)]
    kernels.launch("wgmma_gemm", (n // 64, m // 64, 1), (256, 1, 1), gpu_kernels.wgmma_shared(stages),
                   (*maps, c, k, n), order)
    return c, wanted


def test_a_library_makes_tensor_maps():
    """Host code and kernel of one file; rows of A lie apart."""
    repo.load_emulator()
    entry = repo.compile(gpu_kernels.wgmma_program(), target="emulator", chip="sm_90a")["f"]
    a, b, wanted = inputs(128, 192, 256)
    wide = np.zeros((128, 320), ml_dtypes.bfloat16)
    wide[:, :256] = a
    c = np.full((128, 192), np.nan, np.float32)
    entry(wide[:, :256], b, c)
    assert np.abs(c - wanted).max() <= 1e-5 * np.abs(wanted).max()
    # A stride that TMA does not have.
    odd = np.zeros((128, 257), ml_dtypes.bfloat16)
    with pytest.raises(repo.RepoError, match="expected a tensor with a stride that is a multiple of 16 bytes, .* got 514"):
        entry(odd[:, :256], b, c)


RUNS = {"mma": run_mma, "wgmma": run_wgmma, "wgmma-register-a": lambda *args: run_wgmma(*args, stages=3)}


@pytest.mark.parametrize("name", RUNS)
def test_gemm(compiled, name):
    first = None
    for order in range(7):
        c, wanted = RUNS[name](compiled(name), 128, 128, 256, order)
        assert np.abs(c - wanted).max() <= 1e-5 * np.abs(wanted).max()
        first = c if first is None else first
        assert np.array_equal(first, c), f"other bits in order {order}"
