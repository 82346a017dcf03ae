"""Models of odd shapes, whole, against their float64 evaluation: widths, vocabularies, heads, types, shards, batches."""

import numpy as np
import pytest

import repo_mlir as repo
from model_reference import ReferenceModel
from repo_mlir.make_checkpoint import make_checkpoint

YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 32}
SHAPES = {
    "f16 in five files": dict(dtype="f16", shards=5, vocabulary=97, hidden=72, heads=3, intermediate=50),
    "f32, width 100": dict(dtype="f32", hidden=100, heads=2, intermediate=129, vocabulary=1009),
    "grouped, head of 10": dict(hidden=60, heads=6, kv_heads=2, intermediate=33),
    "one KV head, tied": dict(heads=4, kv_heads=1, tied=True, vocabulary=33),
    "heads wider than the stream": dict(hidden=40, heads=5, head_size=26, mode="multihead_continuous"),
    "heads of 2": dict(hidden=16, heads=8, intermediate=1, vocabulary=2, dtype="f32"),
    "one layer from the start": dict(layers=1, start_layer=0, dtype="f16"),
    "listed layers": dict(layers=5, layer_ids=[0, 2, 4], start_layer=1, hidden=48, heads=2),
    "nope": dict(mode="nope", hidden=56, heads=7, vocabulary=129),
    "one position for all, llama3": dict(mode="continuous", kv_heads=2, rope_scaling=LLAMA3),
    "yarn 4": dict(hidden=192, heads=2, rope_scaling=YARN, dtype="f32"),
    "integers, linear": dict(mode="none", hidden=24, heads=1, dtype="f16", shards=2, tied=True,
                             rope_scaling={"rope_type": "linear", "factor": 2.5}),
}


@pytest.mark.parametrize("name", SHAPES)
def test_against_float64(name, tmp_path):
    make_checkpoint(tmp_path / "weights", seed=len(name), **SHAPES[name])
    repo.compile_model(tmp_path / "weights", tmp_path / "model")
    model = repo.load_model(tmp_path / "model", tmp_path / "weights")
    exact = ReferenceModel(tmp_path / "weights")
    # The error of one evaluation is a matter of luck: the yardstick is the largest of several orders of summation.
    plain = [ReferenceModel(tmp_path / "weights", np.float32, parts) for parts in (1, 2, 3)]
    numbers = np.random.default_rng(1)
    for batch, n in ((1, 1), (3, 37), (1, 130)):
        tokens = numbers.integers(0, model.info.vocabulary, (batch, n))
        for got, expected, *others in zip((model.logits(tokens), model.positions(tokens)), exact(tokens),
                                          *(other(tokens) for other in plain)):
            assert got.shape == expected.shape
            largest = max(np.abs(expected).max(), 1e-30)
            error = np.abs(got - expected).max() / largest
            plain_error = max(np.abs(other - expected).max() for other in others) / largest
            assert error <= max(2e-6, 3 * plain_error), (error, plain_error)
