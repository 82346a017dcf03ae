"""What the tile dialect means: kernels of tiles as sequential loops (`--emulate=tiles`), against float64. No threads, no emulator:
what is wrong here is the arithmetic of a schedule."""

import os
import subprocess

import ml_dtypes
import numpy as np
import pytest
import test_position_kernels as positions
import test_random_kernels as attention
from conftest import BUILD, GOLDEN
from safetensors.numpy import load_file

import reference
import repo_mlir as repo


def compile_loops(source, folder, *flags):
    path = os.path.join(folder, f"{abs(hash((source, flags)))}.so")
    subprocess.run([str(BUILD / "bin" / "repo-compile"), "-", "--target=cuda", "--emulate=tiles", "-o", path, *flags],
                   input=source, text=True, check=True, timeout=300)
    return repo.Library(path)["f"]


@pytest.fixture
def loops(monkeypatch):
    """Random configurations of kernels run as loops."""
    def entry(source, folder, chip):
        return compile_loops(source, folder, f"--chip={chip}")
    monkeypatch.setattr(positions, "entry", entry)
    monkeypatch.setattr(attention, "entry", entry)


@pytest.mark.parametrize("path", positions.PATHS)
def test_positions(loops, tmp_path, path):
    positions.run(path, 2, tmp_path)


# Prefill with rotation, masks of all kinds, decode with its merge, pages.
@pytest.mark.parametrize("path, index", [("mma", 0), ("decode", 0), ("wgmma-paged", 1)])
def test_attention(loops, tmp_path, path, index):
    attention.run(path, index, tmp_path)


GOLDEN_ATTENTION = """
#r = #repo.rope<theta = 500000.0, dim = 128>
!t = tensor<1x3x75x128xbf16>
!z = tensor<1x3x75xf32>
func.func @f(%q: !t, %k: !t, %v: !t, %zq: !z, %zk: !z) -> !t {
  %e = tensor.empty() : !t
  %o = repo.attention %q, %k, %v query_positions(%zq) key_positions(%zk) into %e {causal, rope = #r} : (!t, !t, !t, !z, !z, !t) -> !t
  return %o : !t
}
"""


def test_golden_attention(tmp_path):
    x = load_file(GOLDEN / "attention-mha.safetensors")
    short = [x[name].astype(ml_dtypes.bfloat16) for name in "qkv"]
    plain, _ = reference.attention(*short, x["zq"], x["zk"], rope=dict(theta=500000.0), causal=True, dtype=ml_dtypes.bfloat16)
    out = compile_loops(GOLDEN_ATTENTION, tmp_path, "--chip=sm_80")(*short, x["zq"], x["zk"])
    assert np.abs(np.asarray(out, np.float64) - x["out"]).max() <= 2 * np.abs(plain - x["out"]).max()
