"""300 mutants of checkpoints, configs, manifests and packed weights; mutate_models.py runs as many as one likes."""

import shutil

import mutate_models
import repo_mlir as repo
from conftest import GOLDEN


def test_mutants(golden_model, tmp_path):
    name = "tiny-f32-sharded"
    shutil.copytree(golden_model(name), tmp_path / "model")
    repo.pack_model(tmp_path / "model", GOLDEN / name)
    assert mutate_models.check(tmp_path / "model", GOLDEN / name, seed=1, count=300) == []
