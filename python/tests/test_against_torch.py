"""The compiled operator against PyTorch's scaled_dot_product_attention in float64."""

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from conftest import ROOT

pytestmark = pytest.mark.frameworks


def test_attention_with_rotation(run, tmp_path):
    import torch
    rng = np.random.default_rng(5)
    q, k, v = (rng.standard_normal((2, 3, 61, 128)).astype(np.float32) for _ in range(3))
    z = (rng.standard_normal((2, 3, 61)) * 20).astype(np.float32)
    omega = 500000.0 ** (-torch.arange(0, 128, 2, dtype=torch.float64) / 128)
    angle = torch.from_numpy(z).double()[..., None] * omega

    def rotate(x):
        x = torch.from_numpy(x).double()
        a, b = x[..., :64], x[..., 64:]
        return torch.cat((a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()), -1)

    wanted = torch.nn.functional.scaled_dot_product_attention(
        rotate(q), rotate(k), torch.from_numpy(v).double(), is_causal=True).numpy()
    library = tmp_path / "attention.so"
    source = ROOT / "test/Integration/CPU/attention-mha.mlir"
    assert run("repo-compile", source, "-o", library)[0] == 0
    save_file({"q": q, "k": k, "v": v, "zq": z, "zk": z}, tmp_path / "in")
    status, _, error = run("repo-run", library, "--entry=attention", f"--inputs={tmp_path / 'in'}",
                           f"--outputs={tmp_path / 'out'}")
    assert status == 0, error
    found = load_file(tmp_path / "out")["out"]
    # |z| up to 80: an f32 angle is off by 5e-6 before any sine.
    assert np.abs(found - wanted).max() <= 1e-5 * np.abs(wanted).max()
