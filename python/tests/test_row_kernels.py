"""What a model does to rows between its products of matrices, as one kernel each, on the emulator, against float64."""

import sys

import conftest
import ml_dtypes
import numpy as np
import pytest

import reference
import repo_mlir as repo
from test_cuda import device_or_skip, on_device
from test_emulator import emulated_entry, folder  # noqa: F401

pytestmark = pytest.mark.xdist_group("emulator")
SOURCE = (conftest.ROOT / "test" / "Integration" / "CUDA" / "rows.mlir").read_text()
WIDTH, HEADS, SIZE, INNER, PAGE = 2048, 16, 128, 256, 64  # as written there


def source(heads, size, inner, page):
    text = SOURCE.replace("@append(", "@f(")
    for old, new in ((f"x{WIDTH}xf32", f"x{heads * size}xf32"), (f"<{WIDTH}xbf16", f"<{heads * size}xbf16"),
                     (f"{WIDTH}.0", f"{heads * size}.0"), (f"x{HEADS}x{PAGE}x{SIZE}x", f"x{heads}x{page}x{size}x"),
                     (f"x{HEADS}x{SIZE}x", f"x{heads}x{size}x"), (f" {HEADS}, {SIZE}]", f" {heads}, {size}]"),
                     (f"<{HEADS}x{INNER}xbf16", f"<{heads}x{inner}xbf16"), (f"x{HEADS}x?xf32", f"x{heads}x?xf32"),
                     (f"x{INNER}xf32", f"x{inner}xf32"), (f"dim = {SIZE}", f"dim = {size}")):
        assert old in text, old
        text = text.replace(old, new)
    return text


def placed(array, shift):
    """The same values `shift` elements behind a multiple of 64 bytes."""
    memory = np.zeros(array.size + 64, array.dtype)
    start = -memory.ctypes.data % 64 // array.itemsize + shift
    memory[start:start + array.size] = array.ravel()
    return memory[start:start + array.size].reshape(array.shape)


# Units that fill all threads, that leave some idle, and that are more than eight a thread.
@pytest.mark.parametrize("heads, size, inner, tokens", [(16, 128, 256, 2), (5, 64, 40, 3), (3, 32, 24, 5), (36, 128, 256, 1)])
@pytest.mark.parametrize("shift", [0, 1])
def test_norm_rotate_append(folder, monkeypatch, heads, size, inner, tokens, shift):  # noqa: F811
    rng = np.random.default_rng(heads)
    batch, width, page, pages = 2, heads * size, 4, 6

    def draw(*shape, dtype=np.float32):
        return placed(rng.standard_normal(shape).astype(dtype), shift)

    bf16 = ml_dtypes.bfloat16
    gate, content, w_pos = draw(batch, tokens, inner), draw(batch, tokens, inner), draw(heads, inner, dtype=bf16)
    k, w, v = draw(batch, tokens, width), draw(width, dtype=bf16), draw(batch, tokens, width)
    at, table = np.array([3, 6], np.int32), np.array([[5, 1, -1, 0], [2, 3, 4, 7]], np.int32)
    kc, vc = (draw(pages, heads, page, size, dtype=bf16) for _ in range(2))
    before_k, before_v = kc.astype(np.float64), vc.copy()

    g, c, x = (a.astype(np.float64) for a in (gate, content, k))
    wanted_z = (g / (1 + np.exp(-g)) * c @ w_pos.astype(np.float64).T).transpose(0, 2, 1)
    normed = x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-6) * w.astype(np.float64)
    per_head = normed.reshape(batch, tokens, heads, size).transpose(0, 2, 1, 3)

    entry = emulated_entry(source(heads, size, inner, page), folder)
    results = []
    for order in ("0", "1", "2"):
        monkeypatch.setenv("REPO_EMULATOR_ORDER", order)
        kc[...], vc[...] = before_k.astype(bf16), before_v
        z = entry(gate, content, w_pos, k, w, v, at, table, kc, vc)
        results.append(b"".join(a.tobytes() for a in (z, kc, vc)))
    assert len(set(results)) == 1

    assert np.abs(z - wanted_z).max() <= 2e-6 * np.abs(wanted_z).max()
    rotated = reference.rotate(per_head, z.astype(np.float64))
    wanted_k, wanted_v = before_k, before_v
    for b in range(batch):
        for n in range(tokens):
            number, row = table[b, (at[b] + n) // page], (at[b] + n) % page
            if 0 <= number < pages:
                wanted_k[number, :, row] = rotated[b, :, n]
                wanted_v[number, :, row] = v[b, n].reshape(heads, size).astype(bf16)
    assert np.array_equal(vc.view(np.uint16), wanted_v.view(np.uint16))
    assert np.abs(kc.astype(np.float64) - wanted_k).max() <= 2.0 ** -8 * np.abs(wanted_k).max()


HEADS_OF_CHAIN, SIZE_OF_CHAIN = 2, 64


@pytest.fixture(scope="module")
def chain():
    sys.path.append(str(conftest.ROOT / "benchmark"))
    from suites import chain
    return chain


def chain_case():
    """Arguments, where the last is the output, the exact result, and the largest error it may have."""
    heads, size, batch, tokens, capacity = HEADS_OF_CHAIN, SIZE_OF_CHAIN, 2, 19, 40
    rng, bf16 = np.random.default_rng(3), ml_dtypes.bfloat16
    q, k, v = (rng.standard_normal((batch, tokens, heads * size)).astype(bf16) for _ in range(3))
    wq, wk = (rng.standard_normal(heads * size).astype(bf16) for _ in range(2))
    z = (rng.standard_normal((batch, heads, tokens)) * 5).astype(np.float32)
    at = np.array([7, 0], np.int32)
    kc, vc = (rng.standard_normal((batch, heads, capacity, size)).astype(bf16) for _ in range(2))
    out = np.zeros((batch, tokens, heads, size), bf16)

    def prepare(x, w, dtype):
        wide = x.astype(np.float64)
        normed = (wide / np.sqrt((wide * wide).mean(-1, keepdims=True) + 1e-6) * w.astype(np.float64)).astype(dtype)
        return normed.reshape(batch, tokens, heads, size).transpose(0, 2, 1, 3)

    results = []
    keys, values = kc.astype(np.float64), vc.astype(np.float64)
    for dtype in (np.float64, bf16):  # exact, and rounded where frameworks round
        turned = [reference.rotate(prepare(x, w, dtype).astype(np.float64), z.astype(np.float64)).astype(dtype).astype(np.float64)
                  for x, w in ((q, wq), (k, wk))]
        wanted = np.zeros(out.shape)
        for b in range(batch):
            end = at[b] + tokens
            keys[b, :, at[b]:end] = turned[1][b]
            values[b, :, at[b]:end] = v[b].astype(np.float64).reshape(tokens, heads, size).transpose(1, 0, 2)
            for h in range(heads):
                scores = turned[0][b, h] @ keys[b, h, :end].T / np.sqrt(size)
                scores[np.arange(end)[None] > at[b] + np.arange(tokens)[:, None]] = -np.inf
                p = np.exp(scores - scores.max(-1, keepdims=True))
                wanted[b, :, h] = (p.astype(dtype).astype(np.float64) @ values[b, h, :end]) / p.sum(-1, keepdims=True)
        results.append(wanted)
    exact, plain = results
    bound = 2 * max(np.abs(plain - exact).max(), 2.0 ** -9 * np.abs(exact).max())
    return (q, k, v, wq, wk, z, at, kc, vc, out), exact, bound


@pytest.mark.parametrize("order", range(3))
def test_chain_of_the_benchmark(folder, chain, monkeypatch, order):  # noqa: F811
    """Norms, rotation, cache and attention as benchmark/suites/chain.py runs them on a device. Sums of queries and keys start
    from the same zeros, so they lie in memory that one thread writes and all read."""
    monkeypatch.setenv("REPO_EMULATOR_ORDER", str(order))
    arguments, exact, bound = chain_case()
    emulated_entry(chain.source(HEADS_OF_CHAIN, SIZE_OF_CHAIN).replace("@chain", "@f"), folder)(*arguments)
    assert np.abs(arguments[-1].astype(np.float64) - exact).max() <= bound


@pytest.mark.cuda
def test_chain_on_a_device(chain):
    torch = device_or_skip()
    arguments, exact, bound = chain_case()
    on = [on_device(torch, array) for array in arguments]
    chain.ours(HEADS_OF_CHAIN, SIZE_OF_CHAIN, "cuda")(*on)
    assert np.abs(on[-1].float().cpu().numpy() - exact).max() <= bound


@pytest.mark.cuda
def test_rows_on_a_device():
    """At multiples of 16 bytes and elsewhere: the same bits."""
    torch = device_or_skip()
    import mutations
    (k, z), wanted, bound = mutations.prepare_rows()
    entry = repo.compile(mutations.ROWS, target="cuda")["f"]
    results = []
    for shift in (0, 1):
        memory = torch.zeros(k.size + 1, device="cuda")
        memory[shift:shift + k.size] = torch.from_numpy(k.ravel()).cuda()
        got = entry(memory[shift:shift + k.size].view(k.shape), on_device(torch, z))
        results.append(got.float().cpu().numpy())
    assert np.array_equal(*results)
    assert np.abs(results[0] - wanted).max() <= bound
