"""Attention that reads a cache in pages: the same bits as on the same rows in one piece, whatever the size of pages."""

import numpy as np
import pytest

import repo_mlir as repo

PAGED = """
func.func @paged(%q: tensor<?x{h}x?x{d}xf32>, %kp: tensor<?x{g}x{s}x{d}x{t}>, %vp: tensor<?x{g}x{s}x{d}x{t}>,
                 %table: tensor<?x?xi32>, %lengths: tensor<?xi32>, %at: tensor<?xi32>) -> tensor<?x{h}x?x{d}xf32> {{
  %k = repo.cache_view %kp table(%table) lengths(%lengths)
     : (tensor<?x{g}x{s}x{d}x{t}>, tensor<?x?xi32>, tensor<?xi32>) -> tensor<?x{g}x?x{d}x{t}>
  %v = repo.cache_view %vp table(%table) lengths(%lengths)
     : (tensor<?x{g}x{s}x{d}x{t}>, tensor<?x?xi32>, tensor<?xi32>) -> tensor<?x{g}x?x{d}x{t}>
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %b = tensor.dim %q, %c0 : tensor<?x{h}x?x{d}xf32>
  %n = tensor.dim %q, %c2 : tensor<?x{h}x?x{d}xf32>
  %init = tensor.empty(%b, %n) : tensor<?x{h}x?x{d}xf32>
  %o = repo.attention %q, %k, %v lengths(%lengths) offset(%at) into %init {{causal{window}}}
     : (tensor<?x{h}x?x{d}xf32>, tensor<?x{g}x?x{d}x{t}>, tensor<?x{g}x?x{d}x{t}>, tensor<?xi32>, tensor<?xi32>,
        tensor<?x{h}x?x{d}xf32>) -> tensor<?x{h}x?x{d}xf32>
  return %o : tensor<?x{h}x?x{d}xf32>
}}
"""


def in_pages(rng, rows, size, table, pages):
    """Rows [B, H, M, D] in pages [P, H, S, D] as the table says; what is in no row is NaN."""
    result = np.full((pages, rows.shape[1], size, rows.shape[3]), np.nan, rows.dtype)
    for b, entries in enumerate(table):
        for i, page in enumerate(entries):
            part = rows[b, :, i * size:(i + 1) * size]
            result[page, :, :part.shape[1]] = part
    return result


@pytest.mark.parametrize("size", [16, 48, 64, 512])
@pytest.mark.parametrize("dtype, queries, window", [("f32", 1, None), ("bf16", 1, None), ("f32", 33, None),
                                                    ("bf16", 33, None), ("f32", 1, 100)])
def test_bitwise_as_contiguous(size, dtype, queries, window):
    rng = np.random.default_rng(0)
    batch, heads, kv_heads, width, lengths = 2, 4, 2, 64, np.array([700, 533], np.int32)
    entries = -(-int(lengths.max()) // size)
    if dtype == "bf16":
        import ml_dtypes
    kind = np.float32 if dtype == "f32" else ml_dtypes.bfloat16
    keys, values = (rng.standard_normal((batch, kv_heads, entries * size, width)).astype(kind) for _ in range(2))
    for b, length in enumerate(lengths):
        keys[b, :, length:] = values[b, :, length:] = np.nan
    q = rng.standard_normal((batch, heads, queries, width)).astype(np.float32)
    table = rng.permutation(batch * entries).reshape(batch, entries).astype(np.int32)
    used = -(-lengths // size)
    for b in range(batch):
        table[b, used[b]:] = -1  # entries past the length are not looked at
    real = [entries_[:n] for entries_, n in zip(table, used)]
    library = repo.compile(PAGED.format(h=heads, g=kv_heads, d=width, s=size, t=dtype,
                                        window=f", window = array<i64: {window - 1}, 0>" if window else ""))
    at = lengths - queries
    got = library["paged"](q, in_pages(rng, keys, size, real, batch * entries),
                           in_pages(rng, values, size, real, batch * entries), table, lengths, at.astype(np.int32))
    want = repo.attention(q, keys, values, causal=True, window=window, lengths=lengths, offset=at.astype(np.int32))
    assert not np.isnan(want).any()
    if window:  # blocks of a window begin anywhere, those of pages do not
        np.testing.assert_allclose(got, want, rtol=0, atol=2e-6 * np.abs(want).max())
    else:
        assert np.array_equal(got, want)
