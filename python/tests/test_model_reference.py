"""The float64 model of the tests against what the published implementation computed."""

import numpy as np
import pytest
from safetensors.numpy import load_file

from conftest import GOLDEN, MODELS
from model_reference import ReferenceModel


@pytest.mark.parametrize("name", MODELS)
def test_goldens(name):
    model = ReferenceModel(GOLDEN / name)
    for path in sorted((GOLDEN / name).glob("expect-*.safetensors")):
        expected = load_file(path)  # rounded to float32
        logits, positions = model(expected["tokens"])
        assert np.abs(logits - expected["logits"]).max() <= 1e-7 * np.abs(expected["logits"]).max()
        assert np.abs(positions - expected["positions"]).max() <= 1e-7 * max(1, np.abs(expected["positions"]).max())
