"""Models in bf16 arithmetic: within twice the error of a plain bf16 evaluation of the same weights, as frameworks run it."""

import json

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file

import repo_mlir as repo
from conftest import GOLDEN, MODELS
from model_reference import ReferenceModel


def largest_error(got, wanted):
    return np.abs(got - wanted).max() / max(np.abs(wanted).max(), 1e-30)


def check(name, model, plain):
    """Logits and positions of all goldens against float64; `plain(tokens)` is the framework's run."""
    for path in sorted((GOLDEN / name).glob("expect-*.safetensors")):
        expected = load_file(path)
        tokens = expected["tokens"]
        logits, positions = plain(tokens)
        assert largest_error(model.logits(tokens), expected["logits"]) <= 2 * largest_error(logits, expected["logits"])
        error = largest_error(positions, expected["positions"])
        assert largest_error(model.positions(tokens), expected["positions"]) <= max(2 * error, 1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_goldens(golden_model, name):
    check(name, repo.load_model(golden_model(name, "--dtype=bf16"), GOLDEN / name),
          ReferenceModel(GOLDEN / name, ml_dtypes.bfloat16))


def test_sessions_and_caches(golden_model):
    name = "tiny-f32-sharded"
    tokens = load_file(GOLDEN / name / "expect-0.safetensors")["tokens"][0]
    sizes, results = [], []
    for flags in (["--dtype=bf16"], ["--dtype=bf16", "--cache-dtype=f32"], ["--cache-dtype=bf16"], []):
        model = repo.load_model(golden_model(name, *flags), GOLDEN / name)
        whole, session = model.logits(tokens)[0], model.session()
        stepped = [session.append(tokens[:20]), *(session.append([token]) for token in tokens[20:25])]
        # The same rows of the cache, whoever wrote them: rounding of sums alone may differ.
        assert largest_error(np.stack(stepped), whole[19:25]) <= (5e-3 if flags else 1e-5)
        sizes.append(session.nbytes)
        results.append(whole)
    assert sizes[0] * 2 == sizes[1] == sizes[3] == 2 * sizes[2]
    assert not np.array_equal(results[0], results[1]) and not np.array_equal(results[2], results[3])


def test_rounded_weights(golden_model):
    """A checkpoint of another type is rounded once, to the nearest, as it is opened."""
    name, done = "tiny-multihead-f16", []
    folder = golden_model(name, "--dtype=bf16", "--cache-dtype=f32")
    model = repo.load_model(folder, GOLDEN / name, progress=done.append)
    assert done == sorted(done) and done[-1] == 1.0 and len(done) > 10
    exact = ReferenceModel(GOLDEN / name)
    for weight in exact.weights:
        if exact.weights[weight].ndim == 2:
            exact.weights[weight] = exact.weights[weight].astype(ml_dtypes.bfloat16).astype(np.float64)
    tokens = load_file(GOLDEN / name / "expect-0.safetensors")["tokens"]
    logits, _ = exact(tokens)
    if json.loads((folder / "manifest.json").read_text())["activations"] == "f32":
        assert largest_error(model.logits(tokens), logits) <= 1e-5
