"""The golden models through Python: logits, positions, generation, sessions."""

import numpy as np
import pytest
from safetensors.numpy import load_file

import repo_mlir as repo
from conftest import GOLDEN, MODELS, expectations


@pytest.fixture(scope="module")
def load(golden_model):
    """Opens a compiled golden model, once."""
    models = {}

    def opened(name):
        if name not in models:
            models[name] = repo.load_model(golden_model(name), GOLDEN / name)
        return models[name]

    return opened


@pytest.mark.parametrize("name", MODELS)
def test_logits_and_positions(load, name):
    model = load(name)
    for file, reference_error in expectations(name)["reference_f32_error"].items():
        expected = load_file(GOLDEN / name / f"{file}.safetensors")
        logits, positions = model.logits(expected["tokens"]), model.positions(expected["tokens"])
        assert logits.dtype == positions.dtype == np.float32
        assert logits.shape == expected["logits"].shape and positions.shape == expected["positions"].shape
        bound = max(3 * reference_error, 2e-6)
        assert np.abs(logits - expected["logits"]).max() <= bound * np.abs(expected["logits"]).max()
        assert np.abs(positions - expected["positions"]).max() <= 1e-5 * max(1.0, np.abs(expected["positions"]).max())


@pytest.mark.parametrize("name", MODELS)
def test_greedy_tokens(load, name):
    wanted = expectations(name)["generate"]
    assert load(name).generate(wanted["prompt"], len(wanted["greedy"]), eos=()) == wanted["greedy"]


def test_end_tokens(load):
    model, wanted = load("tiny-nope"), expectations("tiny-nope")["generate"]
    stop = wanted["greedy"].index(1)  # the end of sequence of its config
    assert model.generate(wanted["prompt"], 24) == wanted["greedy"][: stop + 1]
    other = wanted["greedy"][0]
    assert model.generate(wanted["prompt"], 24, eos=other) == [other]
    assert model.generate(wanted["prompt"], 0) == []
    assert next(model.stream(wanted["prompt"], 24)) == other


def test_sampling(load):
    model, prompt = load("tiny-rope"), expectations("tiny-rope")["generate"]["prompt"]
    options = dict(temperature=2.0, eos=())
    one = model.generate(prompt, 12, seed=7, **options)
    assert model.generate(prompt, 12, seed=7, **options) == one
    assert any(model.generate(prompt, 12, seed=seed, **options) != one for seed in range(3))
    greedy = model.generate(prompt, 12, eos=())
    assert model.generate(prompt, 12, seed=7, top_k=1, **options) == greedy
    assert model.generate(prompt, 12, seed=7, top_p=1e-6, **options) == greedy


@pytest.mark.parametrize("name", ["tiny-bf16", "tiny-yarn", "tiny-continuous"])
def test_session(load, name):
    model = load(name)
    tokens = load_file(GOLDEN / name / "expect-0.safetensors")["tokens"][0][:12]
    wanted = model.logits(tokens)[0]
    close = dict(rtol=0, atol=1e-5 * np.abs(wanted).max())
    session = model.session()
    assert len(session) == session.len == 0
    np.testing.assert_allclose(session.append(tokens[:5]), wanted[4], **close)
    np.testing.assert_allclose(session.append(tokens[5:6]), wanted[5], **close)
    fork = session.fork()
    np.testing.assert_allclose(fork.append(tokens[6:]), wanted[11], **close)
    assert (len(session), len(fork)) == (6, 12)
    np.testing.assert_allclose(session.append(tokens[6:9]), wanted[8], **close)
    fork.trim(7)
    np.testing.assert_allclose(fork.append(tokens[7:10]), wanted[9], **close)
    ragged = [model.session() for _ in range(3)]
    for other, length in zip(ragged, (1, 4, 9)):
        other.append(tokens[:length])
    logits = model.append(ragged, [tokens[1:2], tokens[4:8], tokens[9:]])
    np.testing.assert_allclose(logits, wanted[[1, 7, 11]], **close)
    assert [len(other) for other in ragged] == [2, 8, 12]


def test_batch_session(load):
    model = load("tiny-continuous")
    tokens = load_file(GOLDEN / "tiny-continuous" / "expect-0.safetensors")["tokens"][:, :8]
    wanted = model.logits(tokens)
    session = model.session(batch=len(tokens))
    session.append(tokens[:, :7])
    np.testing.assert_allclose(session.append(tokens[:, 7:]), wanted[:, -1], rtol=0, atol=1e-5 * np.abs(wanted).max())


BAD = {
    "rank": (lambda m: m.logits(np.zeros((1, 1, 1), int)), "expected tokens of rank 1 or 2, got shape [1, 1, 1]"),
    "none": (lambda m: m.logits([]), "expected integer tokens, at least one"),
    "type": (lambda m: m.logits([0.5]), "expected integer tokens"),
    "ragged": (lambda m: m.logits([[1, 2], [3]]), "expected sequences of the same length"),
    "negative": (lambda m: m.logits([-1]), "expected tokens from 0 to 2147483647, got -1"),
    "too large": (lambda m: m.logits([1, 64]), "token 1: expected 0 to 63, got 64"),
    "count": (lambda m: m.generate([1], -1), "expected max_new_tokens to be an integer of at least 0, got -1"),
    "temperature": (lambda m: m.generate([1], 1, temperature=-1), "expected temperature to be a number from 0"),
    "top_k": (lambda m: m.generate([1], 1, top_k=0), "expected top_k to be an integer of at least 1, got 0"),
    "top_p": (lambda m: m.generate([1], 1, top_p=1.5), "expected top_p to be a number from 1e-09 to 1, got 1.5"),
    "batch": (lambda m: m.session().append([[1], [2]]), "expected 1 sequences, got 2"),
    "trim": (lambda m: m.session().trim(-1), "trim: expected n to be an integer of at least 0, got -1"),
    "trim more": (lambda m: m.session().trim(3), "3"),
    "twice": (lambda m: m.append([m.session()] * 2, [[1], [1]]), "expected every session once"),
    "fewer": (lambda m: m.append([m.session()], []), "expected tokens for 1 sessions, got 0"),
    "tokenizer": (lambda m: m.generate_text("hello", 1), "tokenizer.json: expected a tokenizer, found none"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments(load, case):
    model = load("tiny-nope")
    call, text = BAD[case]
    with pytest.raises(repo.RepoError) as caught:
        call(model)
    assert text in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("options, text", [
    (dict(target="tpu"), "expected target=\"cpu\", \"cuda\" or \"emulator\", got 'tpu'"),
    (dict(dtype="f64"), "dtype"),
    (dict(cpu="z80"), "unknown cpu `z80`"),
])
def test_bad_options(tmp_path, options, text):
    with pytest.raises(repo.RepoError) as caught:
        repo.compile_model(GOLDEN / "tiny-nope", tmp_path / "out", **options)
    assert text in str(caught.value)
    assert not (tmp_path / "out").exists()
    with pytest.raises(repo.RepoError, match="expected a number of threads from 1 to 4096, got 0"):
        repo.load_model(tmp_path, tmp_path, threads=0)
