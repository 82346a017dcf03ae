"""The gradients of the operators, against torch's autograd in float64 and the published formulas.

Bounds, relative to the largest gradient of the array: float64 1e-12, float32 max(2e-6, 3 times the error of a plain
float32 evaluation of the same formulas), short types twice the error of a plain evaluation in float32 of operands, results
and gradients rounded to that type.
"""

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file

import gradients
import reference
import repo_mlir as repo
import test_random
from conftest import GOLDEN, ROOT

NAMES = ("q", "k", "v", "zq", "zk")


def attention_backward(x, rope, upstream, **options):
    """The compiled gradients by q, k, v, zq and zk, None for what is not given."""
    rope = repo.Rope(**rope) if rope else None
    out, lse = repo.attention(**x, rope=rope, return_lse=True, **options)
    found = iter(repo.attention_backward(x["q"], x["k"], x["v"], out, lse, upstream, x.get("zq"), x.get("zk"), rope=rope,
                                         **options))
    return [next(found) if name in x else None for name in NAMES]


def largest(x):
    return max(float(np.abs(x).max(initial=0.0)), 1e-30)


def drawn(index):
    """A configuration of test_random, cut to 70 tokens, and an upstream gradient."""
    dtype, x, rope, options = test_random.draw(index)
    x = {name: a[:, :, :70] for name, a in x.items()}
    options |= {name: options[name][:, :, :70, :70] for name in ("bias", "mask") if name in options}
    rng = np.random.default_rng(index + 5000)
    upstream = rng.standard_normal((*x["q"].shape[:3], x["v"].shape[-1])).astype(np.float32)
    return dtype, x, rope, options, upstream


def garbage(x, options):
    """The operands with keys and values past the lengths that hold no numbers."""
    x = {name: a.copy() for name, a in x.items()}
    for batch, length in enumerate(options.get("lengths", ())):
        x["k"][batch, :, length:] = np.nan
        x["v"][batch, :, length:] = np.inf
    return x


def zeros_where_nothing_is_seen(x, options, found):
    seen = reference.visible(x["q"].shape[0], x["q"].shape[2], x["k"].shape[2], options.get("causal"),
                             options.get("window"), options.get("lengths"), options.get("offset"))
    seen = np.broadcast_to(seen & options.get("mask", True), (*x["q"].shape[:3], x["k"].shape[2]))
    queries = seen.any(3)
    keys = seen.reshape(seen.shape[0], x["k"].shape[1], -1, *seen.shape[2:]).any((2, 3))
    assert not found[0][~queries].any() and not found[1][~keys].any() and not found[2][~keys].any()


@pytest.mark.frameworks
@pytest.mark.parametrize("index", range(4, 40, 10))
def test_definition(index):
    """Random configurations (all options, grouped heads, rows without keys) in float64 against autograd."""
    _, x, rope, options, upstream = drawn(index)
    x = {name: a.astype(np.float64) for name, a in x.items()}
    upstream = upstream.astype(np.float64)
    wanted = gradients.of(gradients.attention, [x.get(name) for name in NAMES], upstream, rope=rope, **options)
    formulas = gradients.plain_attention_backward(x["q"], x["k"], x["v"], upstream, x.get("zq"), x.get("zk"), rope=rope,
                                                  **options)
    found = attention_backward(garbage(x, options), rope, upstream, **options)
    for name, one, other, value in zip(NAMES, found, formulas, wanted):
        if value is not None:
            assert np.abs(one - value).max(initial=0) <= 1e-12 * largest(value), (index, name)
            assert np.abs(other - value).max(initial=0) <= 1e-12 * largest(value), (index, name)
    zeros_where_nothing_is_seen(x, options, found)


@pytest.mark.parametrize("index", range(0, 40, 7))
def test_configuration(index):
    """The same on the fast path, in the types as drawn, against the formulas in float64."""
    dtype, x, rope, options, upstream = drawn(index)
    kind = test_random.TYPES[dtype]
    typed = {name: a.astype(kind) if name in "qkv" else a for name, a in x.items()}
    upstream = upstream.astype(kind)
    exact = gradients.plain_attention_backward(
        *(typed[name].astype(np.float64) for name in "qkv"), upstream.astype(np.float64), typed.get("zq"), typed.get("zk"),
        rope=rope, **options)
    plain = gradients.plain_attention_backward(*(typed[name] for name in "qkv"), upstream, typed.get("zq"),
                                               typed.get("zk"), rope=rope, **options, dtype=np.float32)
    found = attention_backward(garbage(typed, options), rope, upstream, **options)
    # out, rounded, enters every gradient by delta: one rounding of |upstream| |out| at the weights' scale.
    least = 2e-6 if dtype == "float32" else 4 * test_random.ROUNDING[dtype]
    for name, one, other, value in zip(NAMES, found, plain, exact):
        if value is not None:
            bound = max(3 * np.abs(other - value).max(initial=0), least * largest(value))
            error = np.abs(one.astype(np.float64) - value).max(initial=0)
            assert error <= bound, (index, dtype, name, error / bound)
    zeros_where_nothing_is_seen(x, options, [a if a is None else a.astype(np.float32) for a in found])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_common_shifts_change_nothing(dtype):
    """For every batch and head the gradients of all positions sum to 0."""
    rng = np.random.default_rng(3)
    q, k, v, upstream = (rng.standard_normal((2, 3, 61, 32)).astype(dtype) for _ in range(4))
    zq, zk = (10 * rng.standard_normal((2, 3, 61)).astype(dtype) for _ in range(2))
    found = attention_backward(dict(q=q, k=k, v=v, zq=zq, zk=zk), dict(theta=100.0), upstream, causal=True)
    total = found[3].sum(-1) + found[4].sum(-1)
    assert np.abs(total).max() <= (1e-12 if dtype == np.float64 else 2e-5) * np.abs(found[3]).sum(-1).max()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_logits_of_ten_thousand(dtype):
    """Weights of 0 and 1: no overflow, no NaN."""
    rng = np.random.default_rng(4)
    q, k = (rng.choice([-100.0, 100.0], (1, 2, 37, 1)) * np.ones(16) for _ in range(2))
    x = dict(q=q, k=k + rng.standard_normal(k.shape), v=rng.standard_normal(k.shape))
    x = {name: a.astype(dtype) for name, a in x.items()}
    upstream = rng.standard_normal(k.shape).astype(dtype)
    options = dict(causal=True, scale=0.0625)
    exact = gradients.plain_attention_backward(**{name: a.astype(np.float64) for name, a in x.items()},
                                               upstream=upstream.astype(np.float64), **options)
    # A float32 logit of 1e4 is off by 6e-4, so is lse, and so, relatively, is every weight: by some of these.
    terms = np.abs(upstream) @ np.abs(x["v"]).swapaxes(2, 3)
    for one, value, factor in zip(attention_backward(x, None, upstream, **options), exact, (0.0625 * 110, 0.0625 * 110, 1)):
        bound = 1e-10 * largest(value) if dtype == np.float64 else 2.4e-3 * factor * terms.max()
        assert np.isfinite(one).all() and np.abs(one - value).max() <= bound


@pytest.mark.parametrize("layout,shared,dtype", [("half", False, "float64"), ("interleaved", True, "float64"),
                                                 ("half", True, "float32"), ("interleaved", False, "bfloat16")])
def test_rotate(layout, shared, dtype):
    rng = np.random.default_rng(5)
    kind = test_random.TYPES[dtype]
    wide = np.float64 if dtype == "float64" else np.float32
    rope = dict(theta=10000.0, dim=24, layout=layout, scaling=test_random.SCALINGS[-1])
    x, upstream = (rng.standard_normal((2, 3, 17, 32)).astype(kind) for _ in range(2))
    z = (10 * rng.standard_normal((2, 1 if shared else 3, 17))).astype(wide)
    y = repo.rotate(x, z, repo.Rope(**rope))
    dx, dz = repo.rotate_backward(y, z, upstream, repo.Rope(**rope))
    assert dx.dtype == kind and dz.dtype == wide
    exact_y = reference.rotate(x.astype(np.float64), z, **rope)
    wanted, wanted_z = gradients.rotate_back(exact_y, upstream.astype(np.float64),
                                             reference.per_query_head(z.astype(np.float64), 3), np.dtype(np.float64), **rope)
    wanted_z = gradients._sum_heads(wanted_z, z.shape[1])
    bound = {"float64": 1e-12, "float32": 4e-6, "bfloat16": 2.0 ** -7}[dtype]
    assert np.abs(dx.astype(np.float64) - wanted).max() <= bound * largest(wanted)
    assert np.abs(dz.astype(np.float64) - wanted_z).max() <= bound * largest(wanted_z)


def positions_backward(h, w_gate, w_content, w_pos, upstream):
    g, c, dr = h @ w_gate.T, h @ w_content.T, upstream.swapaxes(1, 2) @ w_pos
    s = 1 / (1 + np.exp(-g))
    dg, dc = dr * c * s * (1 + g * (1 - s)), dr * g * s

    def sums(a, b):
        return np.tensordot(a, b, ((0, 1), (0, 1)))
    return dg @ w_gate + dc @ w_content, sums(dg, h), sums(dc, h), sums(upstream.swapaxes(1, 2), g * s * c)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_positions(dtype):
    rng = np.random.default_rng(6)
    x = [rng.standard_normal(shape).astype(dtype) for shape in ((2, 37, 48), (6, 48), (6, 48), (3, 6), (2, 3, 37))]
    wanted = positions_backward(*(a.astype(np.float64) for a in x))
    plain = positions_backward(*x)
    for one, other, value in zip(repo.assign_positions_backward(*x), plain, wanted):
        least = 1e-12 if dtype == np.float64 else max(2e-6, 3 * np.abs(other - value).max() / largest(value))
        assert one.dtype == dtype and np.abs(one - value).max() <= least * largest(value)


def test_bad_arguments():
    x, l = np.zeros((1, 2, 5, 8), np.float32), np.zeros((1, 2, 5), np.float32)
    with pytest.raises(repo.RepoError, match=r"`d_out`: expected dimension 2 to be 5, got 4"):
        repo.attention_backward(x, x, x, x, l, x[:, :, :4])
    with pytest.raises(repo.RepoError, match=r"`lse`: expected float32, got float64"):
        repo.attention_backward(x, x, x, x, l.astype(np.float64), x)
    with pytest.raises(TypeError, match=r"attention_backward: expected a Rope beside `zq`, got none"):
        repo.attention_backward(x, x, x, x, l, x, l)
    with pytest.raises(TypeError, match=r"rotate_backward: expected a Rope, got float"):
        repo.rotate_backward(x, l, x, 10000.0)
    with pytest.raises(repo.RepoError, match=r"assign_positions_backward: `d_z`: expected dimension 1 to be 2, got 3"):
        repo.assign_positions_backward(x[0], x[0, 0], x[0, 0], x[0, 0, :2, :5], np.zeros((2, 3, 5), np.float32))


# Names of options of the tiled path: blocks of 64 queries and 96 keys, so that sizes end in the middle of both.
TILED = {"all": {}, "band": dict(window=(20, 31)),
         "softcap": dict(causal=True, softcap=3.0, scale=0.3), "chunk": dict(causal=True, offset=np.array([40, -3], np.int32)),
         "lengths": dict(causal=True, lengths=np.array([0, 211], np.int32))}


@pytest.mark.parametrize("name", TILED)
def test_blocks(name):
    """Options, sizes off the grid of blocks, grouped heads, rows without keys: on the tiled path, which takes no N x M."""
    options = TILED[name]
    rng = np.random.default_rng(7)
    n, m = (233, 233) if name != "chunk" else (205, 259)
    x = dict(q=rng.standard_normal((2, 4, n, 32)), k=rng.standard_normal((2, 2, m, 32)), v=rng.standard_normal((2, 2, m, 48)),
             zq=10 * rng.standard_normal((2, 4, n)), zk=10 * rng.standard_normal((2, 1, m)))
    x = {key: a.astype(np.float32) for key, a in x.items()}
    upstream = rng.standard_normal((2, 4, n, 48)).astype(np.float32)
    rope = dict(theta=100.0)
    wide = [x[key].astype(np.float64) for key in "qkv"]
    exact = gradients.plain_attention_backward(*wide, upstream.astype(np.float64), x["zq"], x["zk"], rope=rope, **options)
    plain = gradients.plain_attention_backward(x["q"], x["k"], x["v"], upstream, x["zq"], x["zk"], rope=rope, **options,
                                               dtype=np.float32)
    found = attention_backward(garbage(x, options), rope, upstream, **options)
    for key, one, other, value in zip(NAMES, found, plain, exact):
        bound = max(3 * np.abs(other - value).max(), 2e-6 * largest(value))
        assert np.abs(one - value).max() <= bound, (key, np.abs(one - value).max() / bound)
    zeros_where_nothing_is_seen(x, options, found)


def test_blocks_are_reproducible():
    """The same bits for any number of threads."""
    rng = np.random.default_rng(8)
    q, k, v, upstream = (rng.standard_normal((1, 4, 200, 32)).astype(np.float32) for _ in range(4))
    found = []
    for threads in (1, 2):
        repo.set_num_threads(threads)
        found.append(attention_backward(dict(q=q, k=k, v=v), None, upstream, causal=True)[:3])
    repo.set_num_threads(1)
    assert all(np.array_equal(a, b) for a, b in zip(*found))
