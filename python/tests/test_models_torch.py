"""Compiled models against PyTorch: the peer itself against the goldens, bf16 against its bf16 run, and the real widths."""

import sys

import numpy as np
import pytest
from safetensors.numpy import load_file

import repo_mlir as repo
from conftest import GOLDEN, MODELS, ROOT
from repo_mlir.make_checkpoint import make_checkpoint

pytestmark = pytest.mark.frameworks


@pytest.fixture(scope="module")
def torch_model():
    sys.path.insert(0, str(ROOT / "benchmark"))
    from torch_model import TorchModel
    return TorchModel


def largest_error(got, wanted):
    return np.abs(got - wanted).max() / max(np.abs(wanted).max(), 1e-30)


@pytest.mark.parametrize("name", MODELS)
def test_bf16_goldens(golden_model, torch_model, name):
    model = repo.load_model(golden_model(name, "--dtype=bf16"), GOLDEN / name)
    exact, plain = torch_model(GOLDEN / name, "float64"), torch_model(GOLDEN / name, "bfloat16")
    for path in sorted((GOLDEN / name).glob("expect-*.safetensors")):
        expected = load_file(path)
        assert largest_error(exact(expected["tokens"])[0], expected["logits"]) <= 1e-6  # the peer computes the same
        framework = largest_error(plain(expected["tokens"])[0], expected["logits"])
        assert largest_error(model.logits(expected["tokens"]), expected["logits"]) <= 2 * framework


@pytest.mark.parametrize("dtype", ["f32", "bf16"])
def test_real_widths(torch_model, tmp_path, dtype):
    """Two layers of the 1B shape, one with integer and one with learned positions, and the whole head."""
    make_checkpoint(tmp_path / "weights", "1b", layers=2, start_layer=1, vocabulary=20000)
    repo.compile_model(tmp_path / "weights", tmp_path / "model", dtype=dtype)
    model = repo.load_model(tmp_path / "model", tmp_path / "weights")
    tokens = np.random.default_rng(0).integers(0, 20000, (1, 48))
    wanted, positions = torch_model(tmp_path / "weights", "float64")(tokens)
    plain, plain_positions = torch_model(tmp_path / "weights", "float32" if dtype == "f32" else "bfloat16")(tokens)
    times, least = (3, 2e-6) if dtype == "f32" else (2, 0)
    for got, expected, other in ((model.logits(tokens), wanted, plain),
                                 (model.positions(tokens), positions, plain_positions)):
        assert largest_error(got, expected) <= max(times * largest_error(other, expected), least)
    # Token by token, paged, gives the same.
    session = model.session(pages=model.pages(64))
    session.append(tokens[0, :40])
    stepped = np.stack([session.append(tokens[0, i:i + 1]) for i in range(40, 48)])
    bound = max(times * largest_error(plain, wanted), least)
    assert largest_error(stepped, wanted[0, 40:]) <= bound
