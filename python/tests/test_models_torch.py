"""Compiled models against PyTorch: the peer itself against the goldens, bf16 against its bf16 run, and the real widths.

`PYTHONPATH=python python python/tests/test_models_torch.py FOLDER [f32|bf16]` makes the whole 1B shape in FOLDER, all layers and the
whole vocabulary, and holds it to the same bounds (20 GB of memory).
"""

import pathlib
import resource
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


def check(torch_model, weights, compiled, dtype):
    """Logits and positions of a random prompt, whole and token by token on pages; returns the errors in bounds."""
    model = repo.load_model(compiled, weights)
    tokens = np.random.default_rng(0).integers(0, model.info.vocabulary, (1, 48))
    wanted, positions = torch_model(weights, "float64")(tokens)
    plain, plain_positions = torch_model(weights, "float32" if dtype == "f32" else "bfloat16")(tokens)
    times, least = (3, 2e-6) if dtype == "f32" else (2, 0)
    bound = max(times * largest_error(plain, wanted), least)
    # Token by token, paged, gives the same.
    session = model.session(pages=model.pages(64))
    session.append(tokens[0, :40])
    stepped = np.stack([session.append(tokens[0, i:i + 1]) for i in range(40, 48)])
    return [largest_error(model.logits(tokens), wanted) / bound,
            largest_error(model.positions(tokens), positions) / max(times * largest_error(plain_positions, positions), least),
            largest_error(stepped, wanted[0, 40:]) / bound]


@pytest.mark.parametrize("dtype", ["f32", "bf16"])
def test_real_widths(torch_model, tmp_path, dtype):
    """Two layers of the 1B shape, one with integer and one with learned positions, and the whole head."""
    make_checkpoint(tmp_path / "weights", "1b", layers=2, start_layer=1, vocabulary=20000)
    repo.compile_model(tmp_path / "weights", tmp_path / "model", dtype=dtype)
    errors = check(torch_model, tmp_path / "weights", tmp_path / "model", dtype)
    assert max(errors) <= 1, errors


def test_long_context(torch_model, tmp_path):
    """17,000 tokens in chunks, stretched by yarn: the error of a plain evaluation, and no memory that grows with their square."""
    yarn = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 4096}
    make_checkpoint(tmp_path / "weights", layers=2, start_layer=1, hidden=64, heads=1, rope_scaling=yarn, dtype="f32")
    repo.compile_model(tmp_path / "weights", tmp_path / "model")
    model = repo.load_model(tmp_path / "model", tmp_path / "weights")
    tokens = np.random.default_rng(0).integers(0, model.info.vocabulary, (1, 17000))
    session, before = model.session(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    last = [session.append(tokens[0, i:i + 2048]) for i in range(0, 17000, 2048)][-1]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400 * 1024  # KiB; the scores of one head have 1.1 GB
    wanted, plain = (torch_model(tmp_path / "weights", dtype)(tokens)[0] for dtype in ("float64", "float32"))
    bound = max(3 * largest_error(plain, wanted), 2e-6)
    assert largest_error(model.logits(tokens), wanted) <= bound
    assert np.abs(last - wanted[0, -1]).max() <= bound * np.abs(wanted).max()


def main():
    sys.path.insert(0, str(ROOT / "benchmark"))
    from torch_model import TorchModel
    folder, dtype = pathlib.Path(sys.argv[1]), (sys.argv[2:] or ["f32"])[0]
    if not (folder / "weights").exists():
        make_checkpoint(folder / "weights", "1b")
    repo.compile_model(folder / "weights", folder / dtype, dtype=dtype)
    errors = check(TorchModel, folder / "weights", folder / dtype, dtype)
    print(f"errors over their bounds, {dtype}: logits {errors[0]:.2f}, positions {errors[1]:.2f}, token by token {errors[2]:.2f}")
    return int(max(errors) > 1)


if __name__ == "__main__":
    sys.exit(main())
