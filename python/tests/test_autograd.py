"""The differentiable operators for torch: a block of the published reference with its gradients, a step of training."""

import importlib.util

import numpy as np
import pytest
from safetensors.numpy import load_file

import repo_mlir as repo
from conftest import GOLDEN, ROOT

pytestmark = pytest.mark.frameworks


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("train", ROOT / "examples" / "train-a-block" / "train.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("dtype,bound", [("float64", 2e-6), ("float32", 1e-4)])  # the golden is stored in float32
def test_golden_block(example, dtype, bound):
    """Every gradient of an attention block of the reference: of h, of the positions, of every weight."""
    import torch
    x = {name: torch.from_numpy(a).to(getattr(torch, dtype)) for name, a in
         load_file(GOLDEN / "layer-repo.safetensors").items()}
    block = example.RepoAttention(256, 2, repo.Rope(500000.0)).to(getattr(torch, dtype))
    for name, parameter in block.named_parameters():
        parameter.data = x[f"{name}.weight"]
    h = x["h"].requires_grad_()
    z = block.positions(h)
    z.retain_grad()
    out = block(h, z)
    out.backward(x["d_out"])
    found = {"out": out, "z": z, "d_h": h.grad, "d_z": z.grad,
             **{f"d_{name}.weight": parameter.grad for name, parameter in block.named_parameters()}}
    assert set(found) == {name for name in x if name.startswith("d_") and name != "d_out"} | {"out", "z"}
    for name, value in found.items():
        error = (value.detach().double() - x[name].detach().double()).abs().max() / x[name].abs().max()
        assert error <= bound, (name, float(error))


def test_training_learns(example):
    losses = example.main(steps=12)
    assert np.isfinite(losses).all() and np.mean(losses[-3:]) < np.mean(losses[:3])


def test_numerical_derivatives():
    """torch.autograd.gradcheck: grouped heads, shared positions, a window, strided and broadcast tensors."""
    import torch
    from repo_mlir import autograd
    torch.manual_seed(0)
    rope = repo.Rope(10.0, dim=4)

    def leaf(*shape):
        return torch.randn(*shape, dtype=torch.float64, requires_grad=True)
    q, k, v, zq, zk = leaf(1, 5, 4, 6), leaf(1, 2, 7, 6), leaf(1, 2, 7, 3), leaf(1, 4, 5), leaf(1, 1, 7)
    assert torch.autograd.gradcheck(lambda *x: autograd.attention(
        x[0].transpose(1, 2), *x[1:], rope=rope, window=(3, 1), softcap=2.0), (q, k, v, zq, zk))
    assert torch.autograd.gradcheck(lambda x, z: autograd.rotate(x, z, rope), (leaf(1, 2, 3, 6), leaf(1, 1, 3)))
    assert torch.autograd.gradcheck(autograd.assign_positions, (leaf(1, 3, 8), leaf(2, 8), leaf(2, 8), leaf(3, 2)))
    x, z = leaf(1, 2, 3, 6), torch.randn(1, 1, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: autograd.rotate(x, z, rope), (x,))  # constant positions


def test_bad_arguments():
    import torch
    from repo_mlir import autograd
    x = torch.zeros(1, 2, 5, 8)
    with pytest.raises(repo.RepoError, match="autograd.attention: `bias`: expected a constant, got a tensor that requires"):
        autograd.attention(x, x, x, bias=torch.zeros(5, 5, requires_grad=True))
    with pytest.raises(TypeError, match="autograd.rotate: `x`: expected a torch tensor, got ndarray"):
        autograd.rotate(x.numpy(), x[..., 0], repo.Rope())
    y = autograd.rotate(x.double().requires_grad_(), torch.zeros(1, 2, 5, dtype=torch.float64), repo.Rope())
    (g,) = torch.autograd.grad(y.sum(), y, create_graph=True)
    assert g.shape == y.shape
