"""Models for a GPU: the same host code over the emulator's driver and over a device."""

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file

import repo_mlir as repo
import test_bf16_models
from conftest import GOLDEN, expectations
from model_reference import ReferenceModel
from repo_mlir.make_checkpoint import make_checkpoint

pytestmark = pytest.mark.xdist_group("emulator")
EMULATED = ["--target=cuda", "--emulate"]
NAME = "tiny-bf16"


@pytest.fixture(autouse=True)
def order(monkeypatch):
    """Threads and blocks in any order, what is asynchronous as late as it may be."""
    monkeypatch.setenv("REPO_EMULATOR_ORDER", "3")


@pytest.fixture(scope="module")
def folder(golden_model):
    return golden_model(NAME, *EMULATED)


@pytest.fixture(scope="module")
def model(folder):
    return repo.load_model(folder, GOLDEN / NAME, target="emulator")


def test_logits_and_positions(model):
    test_bf16_models.check(NAME, model, ReferenceModel(GOLDEN / NAME, ml_dtypes.bfloat16))


def test_generation(model, folder, run):
    """Recorded steps give the tokens of evaluations of the whole text."""
    tokens = expectations(NAME)["generate"]["prompt"]
    new = model.generate(tokens, 6, eos=())
    wanted = list(tokens)
    for _ in new:
        wanted.append(int(model.logits(wanted)[0, -1].argmax()))
    assert new == wanted[len(tokens):]
    flags = ["repo-run", f"--model={folder}", f"--weights={GOLDEN / NAME}", "--ignore-eos", "--generate=6",
             "--tokens=" + ",".join(map(str, tokens))]
    for cache in ([], ["--context=70", "--paged"], ["--batch=2"], ["--device=1"]):
        status, out, error = run(*flags, *cache)
        assert (status, error) == (0, "")
        assert out.split() == [",".join(map(str, new))] * (2 if cache == ["--batch=2"] else 1)


def test_sessions(model):
    """Caches that grow, fork and are shared, on the device; rows of a ragged batch."""
    tokens = np.random.default_rng(1).integers(0, model.info.vocabulary, 72)
    pages = model.pages(300)
    sessions = [model.session(), model.session(pages=pages), model.session(capacity=80)]
    results = [[s.append(tokens[:62]), s.append(tokens[62:63]), s.append(tokens[63:64]), s.append(tokens[64:65])]
               for s in sessions]  # over the first 64 tokens of a cache, and of a page
    assert np.array_equal(results[0], results[1]) and np.array_equal(results[0], results[2])
    forks = [s.fork() for s in sessions]
    sessions[1].append(tokens[65:70])
    assert len({fork.append(tokens[70:72]).tobytes() for fork in forks}) == 1
    other = model.session(pages=pages)
    other.append(tokens[5:10])
    rows = model.append([forks[1], other], [tokens[:1], tokens[:3]])
    assert np.array_equal(rows[0], forks[0].append(tokens[:1]))
    alone = model.session()
    alone.append(tokens[5:10])
    assert np.array_equal(rows[1], alone.append(tokens[:3]))


def test_positions_on_tensor_cores(tmp_path, run):
    """A model wide enough for them: positions of the embeddings themselves, of two texts at once and of steps of both."""
    make_checkpoint(tmp_path / "weights", layers=1, hidden=512, heads=4, intermediate=128, start_layer=0)
    _, _, said = run("repo-compile", f"--model={tmp_path / 'weights'}", "-o", tmp_path / "model", *EMULATED, "--report")
    assert "positions by mma: 64 tokens by 64 columns" in said
    model = repo.load_model(tmp_path / "model", tmp_path / "weights", target="emulator")
    tokens = np.random.default_rng(2).integers(0, 320, (2, 40))
    logits, wanted = ReferenceModel(tmp_path / "weights")(tokens)
    plain, _ = ReferenceModel(tmp_path / "weights", ml_dtypes.bfloat16)(tokens)
    positions = model.positions(tokens)
    assert np.abs(positions - wanted).max() <= 1e-5 * np.abs(wanted).max()
    bound = 2 * np.abs(plain - logits).max()
    assert np.abs(model.logits(tokens) - logits).max() <= bound
    sessions = [model.session(), model.session()]
    model.append(sessions, list(tokens[:, :30]))
    for i in range(30, 34):
        rows = model.append(sessions, list(tokens[:, i:i + 1]))
        assert np.abs(np.stack(rows) - logits[:, i]).max() <= bound


# Modes of positions, types of checkpoints, sizes of heads; f32 arithmetic is checked like that of a CPU.
@pytest.mark.parametrize("name", ["tiny-continuous", "tiny-multihead-f16", "tiny-nope", "tiny-yarn"])
def test_goldens(golden_model, name):
    model = repo.load_model(golden_model(name, *EMULATED), GOLDEN / name, target="emulator")
    test_bf16_models.check(name, model, ReferenceModel(GOLDEN / name, ml_dtypes.bfloat16))
    wanted = expectations(name)["generate"]["prompt"]
    new = model.generate(wanted, 3, eos=())
    assert new[2] == int(model.logits(wanted + new[:2])[0, -1].argmax())


def test_golden_in_f32(golden_model):
    name = "tiny-rope"
    model = repo.load_model(golden_model(name, *EMULATED, "--dtype=f32"), GOLDEN / name, target="emulator")
    for file, reference_error in expectations(name)["reference_f32_error"].items():
        expected = load_file(GOLDEN / name / f"{file}.safetensors")
        error = np.abs(model.logits(expected["tokens"]) - expected["logits"]).max()
        assert error <= max(3 * reference_error, 2e-6) * np.abs(expected["logits"]).max()


def test_errors(folder, run):
    with pytest.raises(repo.RepoError, match="expected a model compiled for target='cuda', got one for 'emulator'"):
        repo.load_model(folder, GOLDEN / NAME, target="cuda")
    with pytest.raises(repo.RepoError, match="expected a CUDA device from 0 to 1, got 3"):
        repo.load_model(folder, GOLDEN / NAME, device=3)
    flags = [f"--weights={GOLDEN / NAME}", "--tokens=1", "--generate=1"]
    assert run("repo-run", f"--model={folder}", *flags, "--device=2") == \
        (1, "", "repo-run: expected a CUDA device from 0 to 1, got 2\n")
    assert run("repo-run", f"--model={folder}", *flags, "--pack")[0] == 1
