"""Sessions and generation on a random model: however tokens come in, the logits are those of the whole."""

import numpy as np
import pytest

import repo_mlir as repo
from model_reference import ReferenceModel
from repo_mlir.model import load_tokenizer
from small_model import folder, model, tokens_of  # noqa: F401 (fixtures)


pytestmark = pytest.mark.xdist_group("sessions")  # one process: they share a compiled model


def close(got, wanted):
    np.testing.assert_allclose(got, wanted, rtol=0, atol=2e-5 * np.abs(wanted).max())


def test_chunked_prefill(folder, model):
    tokens = tokens_of(2500)  # more than run at once
    wanted, _ = ReferenceModel(folder / "weights")(tokens)
    wanted = wanted[0]
    close(model.logits(tokens)[0], wanted)
    close(model.session().append(tokens), wanted[-1])
    session, start = model.session(), 0
    for size in (1, 700, 64, 1100, 1, 1, 633):
        logits = session.append(tokens[start:start + size])
        start += size
        close(logits, wanted[start - 1])
    assert len(session) == start == 2500
    other = model.session()
    close(np.concatenate([other.append(tokens[:1300], all_logits=True), other.append(tokens[1300:], all_logits=True)]),
          wanted)


def test_positions_of_long_prompts(folder, model):
    tokens = tokens_of(3, 500)  # in chunks of less than 500
    _, wanted = ReferenceModel(folder / "weights")(tokens)
    np.testing.assert_allclose(model.positions(tokens), wanted, rtol=0, atol=2e-5 * np.abs(wanted).max())


def test_forks_are_independent(model):
    tokens = tokens_of(3, 90)
    session = model.session()
    session.append(tokens[0, :60])
    forks = [session.fork() for _ in range(3)]
    assert [len(fork) for fork in forks] == [60] * 3
    # Tokens go into the forks and the session in turns.
    others = [session.append(tokens[0, 60:])] + [fork.append(row[60:]) for fork, row in zip(forks, tokens)]
    for row, got in zip((tokens[0], *tokens), others):
        whole = np.concatenate([tokens[0, :60], row[60:]])
        close(got, model.logits(whole)[0, -1])
    del session  # a fork outlives what it came from
    close(forks[2].append(tokens[1, :5]), model.logits(np.concatenate([tokens[0, :60], tokens[2, 60:], tokens[1, :5]]))
          [0, -1])


def test_trim_and_grow_again(model):
    tokens, others = tokens_of(200), tokens_of(200, seed=1)
    session = model.session()
    session.append(others)
    for kept in (150, 64, 1, 0):
        session.trim(kept)
        assert len(session) == kept
        close(session.append(tokens[kept:kept + 30]),
              model.logits(np.concatenate([others[:kept], tokens[kept:kept + 30]]))[0, -1])
        session.trim(kept)
    size = session.nbytes
    assert size >= 2 * 2 * 2 * 200 * 32 * 4  # layers, K and V, KV heads, tokens, head size, f32
    session.append(tokens)
    assert session.nbytes == size  # trimming keeps the room
    with pytest.raises(repo.RepoError, match="expected to keep 0 to 200 tokens, got 201"):
        session.trim(201)


def test_ragged_sessions_are_one_by_one(model):
    steps = [tokens_of(n, seed=n) for n in (3, 17, 1, 80)]
    ragged, single = ([model.session() for _ in steps] for _ in range(2))
    for _ in range(3):
        got = model.append(ragged, steps)
        for row, session, step in zip(got, single, steps):
            assert np.array_equal(row, session.append(step))
    assert [len(session) for session in ragged] == [9, 51, 3, 240]


def test_ragged_batch(model):
    prompts = [tokens_of(n, seed=n) for n in (5, 70, 70, 1, 0)]
    batch, single = model.session(batch=5), [model.session() for _ in prompts]
    got = batch.append(prompts)
    assert batch.lengths == [5, 70, 70, 1, 0] and len(batch) == 70
    for row, session, prompt in zip(got[:4], single, prompts):
        close(row, session.append(prompt))
    assert not got[4].any()
    for n in range(4):  # one token each, together, at different lengths
        step = tokens_of(5, 1, seed=n)
        for row, session, token in zip(batch.append(step), single, step):
            close(row, session.append(token))
    fork = batch.fork()
    batch.trim(6)
    assert batch.lengths == [6, 6, 6, 5, 4] and fork.lengths == [9, 74, 74, 5, 4]
    step = tokens_of(5, 2, seed=9)
    for row, session, token in zip(fork.append(step), single, step):
        close(row, session.append(token))
    for session, length in zip(single, batch.lengths):
        session.trim(length)
    for row, session, token in zip(batch.append(step), single, step):
        close(row, session.append(token))


def test_errors_change_nothing(model):
    session = model.session(batch=2)
    session.append([[1, 2, 3], [4]])
    wanted = session.fork().append([[5], [6]])
    for bad in ([[1], [320]], [[7, 8, 9], [10, 400]], [[1, 2], [3, 320]]):
        with pytest.raises(repo.RepoError, match="expected 0 to 319, got"):
            session.append(bad)
    for bad, text in (([[1], [2], [3]], "expected 2 sequences, got 3"), ([[1], [2, 3], [3]], "expected 2 sequences"),
                      ([[1], [2.5, 1]], "expected integer tokens")):
        with pytest.raises(repo.RepoError, match=text):
            session.append(bad)
    assert session.lengths == [3, 1]
    assert np.array_equal(session.append([[5], [6]]), wanted)


def test_log_probabilities(folder, model):
    tokens = tokens_of(2, 300)
    logits, _ = ReferenceModel(folder / "weights")(tokens)
    top = logits.max(axis=-1, keepdims=True)
    wanted = logits - top - np.log(np.exp(logits - top).sum(axis=-1, keepdims=True))
    wanted = np.take_along_axis(wanted[:, :-1], tokens[:, 1:, None], axis=-1)[..., 0]
    got = model.log_probabilities(tokens)
    assert got.dtype == np.float32 and got.shape == (2, 299)
    np.testing.assert_allclose(got, wanted, rtol=0, atol=2e-4)
    assert model.log_probabilities([7]).shape == (1, 0)
    ids, scores = model.generate(tokens[0, :40], 8, temperature=1.0, seed=3, top_k=5, eos=(), log_probabilities=True)
    np.testing.assert_allclose(scores, model.log_probabilities(np.concatenate([tokens[0, :40], ids]))[0, 39:],
                               rtol=0, atol=2e-4)


def test_end_of_sequence(model):
    prompt = tokens_of(20)
    free = model.generate(prompt, 30, temperature=3.0, seed=1, eos=())
    assert len(free) == 30
    stop = free[11]
    first = free.index(stop)
    assert model.generate(prompt, 30, temperature=3.0, seed=1, eos=stop) == free[:first + 1]
    assert model.generate(prompt, 30, temperature=3.0, seed=1, eos=[stop, free[2]])[-1] in (stop, free[2])
    assert model.end_tokens == (1,)  # of the config
    assert model.generate(prompt, 0) == []


def test_seed(model):
    prompt = tokens_of(9)
    options = dict(temperature=1.5, top_k=50, top_p=0.95, eos=())
    one = model.generate(prompt, 20, seed=11, **options)
    assert model.generate(prompt, 20, seed=11, **options) == one == list(model.stream(prompt, 20, seed=11, **options))
    assert model.generate(prompt, 20, seed=12, **options) != one
    assert model.generate(prompt, 20, **options) != model.generate(prompt, 20, **options)  # a seed of its own each time
    probable = np.argsort(-model.logits(prompt)[0, -1])[:3]
    assert {model.generate(prompt, 1, temperature=50.0, top_k=3, seed=i)[0] for i in range(60)} == set(probable)


def test_batch_is_one_by_one(model):
    prompts = [tokens_of(n, seed=n) for n in (4, 31, 31, 1)]
    assert model.generate_batch(prompts, 10, eos=()) == [model.generate(prompt, 10, eos=()) for prompt in prompts]
    options = dict(temperature=2.0, seed=5)
    wanted = [model.generate(prompt, 15, temperature=2.0, seed=5 + i, eos=()) for i, prompt in enumerate(prompts)]
    assert model.generate_batch(prompts, 15, eos=(), **options) == wanted
    stop = wanted[1][3]  # ends some, not others
    ended = [ids[:ids.index(stop) + 1] if stop in ids else ids for ids in wanted]
    assert model.generate_batch(prompts, 15, eos=stop, **options) == ended
    steps = list(model.stream_batch(prompts, 15, eos=stop, **options))
    assert len(steps) == max(map(len, ended)) and [step[1] for step in steps if step[1] is not None] == ended[1]
    scored = model.generate_batch(prompts, 3, eos=(), log_probabilities=True)
    for prompt, (ids, scores) in zip(prompts, scored):
        np.testing.assert_allclose(scores, model.generate(prompt, 3, eos=(), log_probabilities=True)[1], atol=1e-4)
        assert len(ids) == 3
    with pytest.raises(repo.RepoError, match="expected at least one prompt, got none"):
        model.generate_batch([], 3)


def test_streaming_is_lazy_and_checks_at_once(model):
    with pytest.raises(repo.RepoError, match="expected top_k"):
        model.stream([1], 3, top_k=0)
    with pytest.raises(repo.RepoError, match="expected tokens below 320, got 320"):
        model.stream([320], 3)
    stream = model.stream([1, 2], 10**9, eos=())
    assert [next(stream) for _ in range(4)] == model.generate([1, 2], 4, eos=())


@pytest.fixture(scope="module")
def with_text(folder):
    tokenizers = pytest.importorskip("tokenizers")
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE({byte: i for i, byte in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    tokenizer.add_special_tokens(["<end>"])
    tokenizer.add_tokens([f"<{i}>" for i in range(len(alphabet) + 1, 320)])
    tokenizer.save(str(folder / "weights" / "tokenizer.json"))
    yield repo.load_model(folder / "model", folder / "weights"), tokenizer
    (folder / "weights" / "tokenizer.json").unlink()


def test_text(with_text):
    model, tokenizer = with_text
    prompt = "Zwölf Boxkämpfer – 十二"
    ids = tokenizer.encode(prompt).ids
    options = dict(temperature=4.0, seed=2, eos=())
    wanted = tokenizer.decode(model.generate(ids, 60, **options))
    assert model.generate_text(prompt, 60, **options) == wanted
    pieces = list(model.stream_text(prompt, 60, **options))
    assert "".join(pieces) == wanted and len(pieces) > 10
    assert model.generate_text([prompt, "a"], 12, eos=()) == [model.generate_text(text, 12, eos=())
                                                            for text in (prompt, "a")]


def test_characters_are_not_cut(with_text, monkeypatch):
    model, tokenizer = with_text
    ids = tokenizer.encode("é十🙂").ids  # 2, 3 and 4 bytes, a token each
    monkeypatch.setattr(model, "stream", lambda *_, **__: iter(ids))
    assert list(model.stream_text("x", 9)) == ["é", "十", "🙂"]


def test_bad_tokenizer(tmp_path):
    pytest.importorskip("tokenizers")
    path = tmp_path / "tokenizer.json"
    path.write_text('{"model": 1}')
    with pytest.raises(repo.RepoError) as caught:
        load_tokenizer(tmp_path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
