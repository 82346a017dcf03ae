"""A random model of two layers with grouped heads, compiled, for the tests of sessions."""

import numpy as np
import pytest

import repo_mlir as repo
from repo_mlir.make_checkpoint import make_checkpoint


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    make_checkpoint(folder / "weights", layers=2, kv_heads=2)
    repo.compile_model(folder / "weights", folder / "model")
    return folder


@pytest.fixture(scope="module")
def model(folder):
    return repo.load_model(folder / "model", folder / "weights")


def tokens_of(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 320, shape)
