"""The golden models through repo-compile and repo-run: logits, positions, greedy tokens."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from conftest import GOLDEN, MODELS, expectations


@pytest.fixture(scope="module", params=MODELS)
def compiled(request, run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("compiled") / request.param
    status, _, error = run("repo-compile", f"--model={GOLDEN / request.param}", "-o", folder)
    assert status == 0, error
    assert sorted(p.name for p in folder.iterdir()) == ["manifest.json", "model.h", "model.so"]
    return request.param, folder


def test_logits_and_positions(compiled, run, tmp_path):
    model, folder = compiled
    for name, reference_error in expectations(model)["reference_f32_error"].items():
        expected = load_file(GOLDEN / model / f"{name}.safetensors")
        largest = np.abs(expected["logits"]).max()
        bound = max(3 * reference_error, 2e-6)
        for batch, tokens in enumerate(expected["tokens"]):
            status, _, error = run(
                "repo-run", f"--model={folder}", f"--weights={GOLDEN / model}",
                "--tokens=" + ",".join(map(str, tokens)), f"--logits={tmp_path / 'l'}",
                f"--positions={tmp_path / 'p'}")
            assert status == 0, error
            logits = load_file(tmp_path / "l")["logits"][0]
            positions = load_file(tmp_path / "p")["positions"][:, 0]
            assert np.abs(logits - expected["logits"][batch]).max() <= bound * largest
            wanted = expected["positions"][:, batch]
            assert np.abs(positions - wanted).max() <= 1e-5 * max(1.0, np.abs(wanted).max())


def test_greedy_tokens(compiled, run):
    model, folder = compiled
    generate = expectations(model)["generate"]
    status, out, error = run(
        "repo-run", f"--model={folder}", f"--weights={GOLDEN / model}", "--json",
        "--tokens=" + ",".join(map(str, generate["prompt"])),
        f"--generate={len(generate['greedy'])}", "--ignore-eos")
    assert status == 0, error
    assert json.loads(out)["generated"] == generate["greedy"]


def test_end_of_sequence_stops(run, tmp_path):
    # The greedy continuation of tiny-nope has token 1, its end of sequence, third.
    model = "tiny-nope"
    generate = expectations(model)["generate"]
    position = generate["greedy"].index(1)
    status, _, error = run("repo-compile", f"--model={GOLDEN / model}", "-o", tmp_path / "m")
    assert status == 0, error
    status, out, error = run(
        "repo-run", f"--model={tmp_path / 'm'}", f"--weights={GOLDEN / model}",
        "--tokens=" + ",".join(map(str, generate["prompt"])), "--generate=24")
    assert (status, out.strip()) == (0, ",".join(map(str, generate["greedy"][: position + 1])))
