"""Sessions on pages: the same logits as contiguous ones, pages shared until one side writes, none leaked, no cache copied."""

import re
import threading

import numpy as np
import pytest

import repo_mlir as repo
from conftest import GOLDEN
from small_model import folder, model, tokens_of  # noqa: F401 (fixtures)

SIZE = 64  # tokens in a page


def test_bitwise_as_contiguous(model):
    tokens = tokens_of(300)
    pages = model.pages(400)
    assert model.info.page_size == SIZE and len(pages) == pages.free == 7
    paged, contiguous = model.session(pages=pages), model.session()
    start = 0
    for size in (1, 63, 1, 70, 100, 1, 1, 1, 62):
        step = tokens[start:start + size]
        start += size
        assert np.array_equal(paged.append(step), contiguous.append(step)), start
        assert pages.free == 7 - -(-start // SIZE)
    assert start == 300 and paged.nbytes == 5 * SIZE * 2 * 2 * 2 * 32 * 4
    assert np.array_equal(model.session(pages=model.pages(300)).append(tokens, all_logits=True),
                          model.session().append(tokens, all_logits=True))


def test_forks_share_pages_until_they_write(model):
    pages, prefix = model.pages(10 * SIZE), tokens_of(2 * SIZE + 10)
    session = model.session(pages=pages)
    session.append(prefix)
    assert pages.free == 7
    forks = [session.fork() for _ in range(3)]
    assert pages.free == 7
    texts = tokens_of(4, 20, seed=3)
    logits = [one.append(text) for one, text in zip([session, *forks], texts)]
    # All but the last to write took a copy of the page that was not full.
    assert pages.free == 4
    for text, got in zip(texts, logits):
        whole = model.session()
        whole.append(prefix)
        assert np.array_equal(got, whole.append(text))
    # Without a whole page in common forgotten, trimming and growing again writes to nobody else's page.
    forks[0].trim(SIZE + 5)
    assert pages.free == 5
    forks[0].append(texts[1])
    whole = model.session()
    whole.append(prefix)
    whole.append(texts[2])
    assert np.array_equal(forks[1].append(texts[0]), whole.append(texts[0]))
    del session, forks
    assert pages.free == len(pages) == 10


def test_batches_and_sessions_run_together(model):
    pages = model.pages(2000)
    batch, other = model.session(batch=3, pages=pages), model.session(batch=3)
    prompts = [tokens_of(n, seed=n) for n in (5, 130, 64)]
    assert np.array_equal(batch.append(prompts), other.append(prompts))
    for n in range(3):
        step = tokens_of(3, 1, seed=n)
        assert np.array_equal(batch.append(step), other.append(step))
    sessions, single = ([make() for _ in range(3)] for make in (lambda: model.session(pages=pages), model.session))
    for steps in (prompts, tokens_of(3, 1, seed=7), tokens_of(3, 1, seed=8)):
        got = model.append(sessions, list(steps))
        for row, one, step in zip(got, single, steps):
            np.testing.assert_allclose(row, one.append(step), rtol=0, atol=2e-5 * np.abs(row).max())


def test_full_pages_change_nothing(model):
    pages = model.pages(3 * SIZE)
    one, two = model.session(pages=pages), model.session(pages=pages)
    one.append(tokens_of(100))
    two.append(tokens_of(10, seed=1))
    whole = model.session()
    whole.append(tokens_of(10, seed=1))
    wanted = whole.append([3])
    for session in (one, two):
        with pytest.raises(repo.RepoError, match="all 3 pages of 64 tokens are in use") as caught:
            session.append(tokens_of(100))
        assert "\n" not in str(caught.value)
    with pytest.raises(repo.RepoError, match="in use"):
        model.append([two, one], [[5], tokens_of(100)])
    assert (len(one), len(two), pages.free) == (100, 10, 0)
    assert np.array_equal(two.append([3]), wanted)
    del one, session
    two.append(tokens_of(100))


def test_fixed_caches(model):
    session, tokens = model.session(capacity=50), tokens_of(50)
    assert session.nbytes == 50 * 2 * 2 * 2 * 32 * 4
    session.append(tokens[:49])
    with pytest.raises(repo.RepoError, match="expected at most 50 tokens, which the cache holds, got 51"):
        session.append(tokens[:2])
    fork = session.fork()
    other = model.session()
    other.append(tokens[:49])
    assert np.array_equal(fork.append(tokens[49:]), other.append(tokens[49:]))
    with pytest.raises(repo.RepoError, match="expected at most 50 tokens"):
        fork.append([1])
    for call, text in ((lambda: model.session(capacity=0), "expected capacity to be an integer of at least 1, got 0"),
                       (lambda: model.pages(0), "expected tokens to be an integer of at least 1, got 0"),
                       (lambda: model.pages(1 << 50), "expected pages for 1 to"),
                       (lambda: model.session(capacity=1 << 24, batch=1 << 20), "out of memory: cannot hold"),
                       (lambda: model.session(pages=3), "expected pages of this model")):
        with pytest.raises(repo.RepoError, match=text) as caught:
            call()
        assert "\n" not in str(caught.value)


def anonymous_bytes():
    with open("/proc/self/smaps_rollup") as file:
        return int(re.search(r"Anonymous:\s*(\d+) kB", file.read())[1]) << 10


@pytest.mark.parametrize("kind", ["contiguous", "paged"])
def test_steps_touch_no_memory_but_their_own(model, kind):
    """A cache of a million tokens, used a little: a step that copied it would touch all of it."""
    tokens = 1 << 20
    session = model.session(capacity=tokens) if kind == "contiguous" else model.session(pages=model.pages(tokens))
    session.append(tokens_of(100))
    session.append([1])
    before = anonymous_bytes()
    for _ in range(20):
        session.append([2])
    # A row may be the first of a huge page of 2 MB, for keys and values of every layer and head.
    rows = 2 * 2 * 2
    assert anonymous_bytes() - before < (rows + 1) * (2 << 20) < tokens * rows * 32 * 4 // 32


def test_no_copy_of_a_cache_in_the_code(run):
    """A step makes no buffer like a cache or like all pages, and copies none."""
    status, text, error = run("repo-compile", f"--model={GOLDEN / 'tiny-bf16'}", "-o", "-", "--stop-after=vector",
                              "--cache-dtype=bf16")
    assert status == 0, error
    functions = dict(re.findall(r"^  func\.func (?:private )?@([\w.]+)(\(.*?\n  }\n)", text, re.S | re.M))
    layers = [name for name in functions if re.search("layer.*_decode", name)]
    assert len(layers) >= 4
    for name, body in functions.items():
        assert not re.search(r"memref\.copy .*memref<\?x2x(\?|64)x128xbf16", body), name
    for name in layers:
        assert len(re.findall(r"memref<\?x2x(?:\?|64)x128xbf16", functions[name])) > 2
        made = re.findall(r"memref\.alloca?\(.*\) .*: memref<\?x2x(\?|64)x128x", functions[name])
        assert made == [], name


def test_threads_share_pages(model):
    """Each thread has sessions of its own on the pages of all."""
    pages, prompts = model.pages(8 * 256), [tokens_of(40 + n, seed=n) for n in range(8)]
    wanted = [model.session().append(prompt) for prompt in prompts]
    base, wrong = model.session(pages=pages), []
    base.append(tokens_of(SIZE // 2))

    def work(n):
        for _ in range(4):
            session = model.session(pages=pages)
            fork = base.fork()
            if not np.array_equal(session.append(prompts[n]), wanted[n]):
                wrong.append(n)
            fork.append(prompts[n][:3])

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    del base
    assert pages.free == len(pages)
