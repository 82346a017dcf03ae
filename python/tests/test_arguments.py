"""Arrays in and out, and bad arguments with the line they get."""

import numpy as np
import pytest

import repo_mlir as repo

Q = np.zeros((1, 2, 4, 8), np.float32)
Z = np.zeros((1, 2, 4), np.float32)


@pytest.mark.parametrize("call, kind, text", [
    (lambda: repo.attention(Q, Q[..., :6], Q), repo.RepoError, "`k`: expected dimension 3 to be 8, got 6"),
    (lambda: repo.attention(Q, Q, Q[:, :, :3]), repo.RepoError, "`v`: expected dimension 2 to be 4, got 3"),
    (lambda: repo.attention(Q[0], Q, Q), repo.RepoError, "`q`: expected rank 4, got shape [2, 4, 8]"),
    (lambda: repo.attention(Q, np.zeros((1, 3, 4, 8), np.float32), np.zeros((1, 3, 4, 8), np.float32)),
     repo.RepoError, "expected the query heads to be a multiple of the KV heads, got 2 and 3"),
    (lambda: repo.attention(Q.astype(np.int32), Q, Q), repo.RepoError, "`q`: expected float32, float16"),
    (lambda: repo.attention([1.0], Q, Q), TypeError, "`q`: expected an array, got list"),
    (lambda: repo.attention(Q, Q, Q, Z, Z), TypeError, "expected a Rope beside `zq`"),
    (lambda: repo.attention(Q, Q, Q, Z[:, :, :2], Z, rope=repo.Rope()), repo.RepoError,
     "`zq`: expected dimension 2 to be 4, got 2"),
    (lambda: repo.attention(Q, Q, Q, window=0), repo.RepoError, "expected a window of at least 1 key, got 0"),
    (lambda: repo.attention(Q, Q, Q, window=(-2, 0)), repo.RepoError, "bounds of window"),
    (lambda: repo.attention(Q, Q, Q, softcap=-1.0), repo.RepoError, "expected softcap to be a positive number, got -1.0"),
    (lambda: repo.attention(Q, Q, Q, scale=float("nan")), repo.RepoError, "expected scale to be a finite number"),
    (lambda: repo.attention(Q, Q, Q, mask=np.zeros((4, 5), bool)), repo.RepoError, "`mask`: expected dimension 3"),
    (lambda: repo.attention(Q, Q, Q, mask=np.zeros((4, 4), np.float32)), repo.RepoError,
     "`mask`: expected bool, got float32"),
    (lambda: repo.attention(Q[:, :, :2], Q, Q, causal=True, lengths=np.array([3], np.int32)), repo.RepoError,
     "expected `offset` beside `lengths`"),
    (lambda: repo.attention(Q, Q, Q, lengths=np.array([3, 3], np.int32)), repo.RepoError,
     "`lengths`: expected shape [1], got [2]"),
    (lambda: repo.attention(Q, Q, Q, out=np.zeros((1, 2, 4, 7), np.float32)), repo.RepoError,
     "`out`: expected dimension 3 to be 8, got 7"),
    (lambda: repo.rotate(Q, Z, repo.Rope(dim=10)), repo.RepoError, "at most the head size 8, got 10"),
    (lambda: repo.Rope(theta=-1.0), repo.RepoError, "expected theta to be a positive number, got -1.0"),
    (lambda: repo.Rope(layout="pairs"), repo.RepoError, "expected layout"),
    (lambda: repo.Rope(scaling={"rope_type": "dynamic", "factor": 2.0}), repo.RepoError, "make a cache of rotated keys"),
    (lambda: repo.Rope(scaling={"rope_type": "yarn"}), repo.RepoError, "expected the key 'factor'"),
    (lambda: repo.assign_positions(Q[0], Q[0, 0], Q[0, 0], Q[0, 0]), repo.RepoError, "`w_pos`: expected dimension 1"),
    (lambda: repo.opt("func.func @f(", "builtin.module(cse)"), repo.RepoError, "source:1:"),
    (lambda: repo.opt("module {}", "builtin.module(no-such-pass)"), repo.RepoError, "no-such-pass"),
    (lambda: repo.compile("module {", out="unused.so"), repo.RepoError, "source:1:"),
    (lambda: repo.compile("no-such-file.mlir"), repo.RepoError, "cannot read `no-such-file.mlir`"),
    (lambda: repo.load_model("nowhere", "nowhere"), repo.RepoError, "manifest.json: No such file"),
    (lambda: repo.set_num_threads(0), repo.RepoError, "expected a number of threads from 1 to 4096, got 0"),
])
def test_bad_arguments(call, kind, text):
    with pytest.raises(kind) as caught:
        call()
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_strides_and_read_only():
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((2, 2, 5, 8)).astype(np.float32) for _ in range(3))
    wanted = repo.attention(q, k, v, causal=True)
    bnhd = [np.ascontiguousarray(x.transpose(0, 2, 1, 3)).transpose(0, 2, 1, 3) for x in (q, k, v)]
    assert np.array_equal(repo.attention(*bnhd, causal=True), wanted)
    inner = [np.repeat(x, 2, axis=-1)[..., ::2] for x in (q, k, v)]
    assert np.array_equal(repo.attention(*inner, causal=True), wanted)
    for x in (q, k, v):
        x.flags.writeable = False
    out = np.empty_like(wanted)
    assert repo.attention(q, k, v, causal=True, out=out) is out
    assert np.array_equal(out, wanted)


def test_empty_sizes():
    empty = np.zeros((1, 2, 0, 8), np.float32)
    assert repo.attention(empty, Q, Q).shape == (1, 2, 0, 8)
    out, lse = repo.attention(Q, empty, empty, return_lse=True)
    assert not out.any() and np.isneginf(lse).all()


def test_compile_and_call():
    library = repo.compile("func.func @twice(%x: tensor<?x3xf32>) -> tensor<?x3xf32> {\n"
                           "  %0 = arith.addf %x, %x : tensor<?x3xf32>\n  return %0 : tensor<?x3xf32>\n}")
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert np.array_equal(library["twice"](x), 2 * x)
    with pytest.raises(repo.RepoError, match="no entry `thrice`; there are: twice"):
        library["thrice"]
    with pytest.raises(repo.RepoError, match="expected dimension 1 to be 3, got 4"):
        library["twice"](np.zeros((2, 4), np.float32))


def test_opt():
    text = repo.opt("func.func @f(%x: tensor<1x1x?x8xf32>, %z: tensor<1x1x?xf32>) -> tensor<1x1x?x8xf32> {\n"
                    "  %0 = repo.rotate %x by(%z) {rope = #repo.rope<theta = 1.0e4, dim = 8>} : "
                    "(tensor<1x1x?x8xf32>, tensor<1x1x?xf32>) -> tensor<1x1x?x8xf32>\n"
                    "  return %0 : tensor<1x1x?x8xf32>\n}", "builtin.module(repo-decompose)")
    assert "linalg.generic" in text and "repo." not in text


@pytest.mark.frameworks
def test_torch_in_torch_out():
    import torch
    q = torch.randn(1, 2, 5, 8, requires_grad=True)
    k = torch.randn(1, 5, 2, 8).transpose(1, 2)
    out = repo.attention(q, k, k, causal=True)
    assert isinstance(out, torch.Tensor)
    wanted = torch.nn.functional.scaled_dot_product_attention(q, k, k, is_causal=True)
    assert torch.allclose(out, wanted.detach(), atol=1e-5)
    half = q.detach().to(torch.bfloat16)
    assert repo.attention(half, half, half).dtype == torch.bfloat16
