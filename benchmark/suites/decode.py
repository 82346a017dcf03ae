"""One query against a cache of 4096 rotated keys: H 16, D 128, batch 1 and 8, bound by the bytes of the cache.

Also the same cache in pages of 64 rows. The caches rotate over more memory than a third-level cache holds. The limit
reads the same caches, in one piece, on as many threads in the same rounds, or does the multiply-adds of all queries
where that takes longer (grouped heads). Peer: torch SDPA on the same caches, without rotation.
"""

import functools
import itertools

import numpy as np

import peers
import repo_mlir as repo
from suites import Case
from suites.attention import convert, lazily

HEADS, SIZE, KEYS = 16, 128, 4096
BYTES = 256 << 20

ATTENTION = """
func.func @decode(%q: tensor<?x{h}x1x{d}x{t}>, %k: tensor<?x{g}x?x{d}x{t}>, %v: tensor<?x{g}x?x{d}x{t}>)
    -> tensor<?x{h}x1x{d}x{t}> {{
  %zero = arith.constant 0 : index
  %b = tensor.dim %q, %zero : tensor<?x{h}x1x{d}x{t}>
  %init = tensor.empty(%b) : tensor<?x{h}x1x{d}x{t}>
  %o = repo.attention %q, %k, %v into %init {{causal}}
    : (tensor<?x{h}x1x{d}x{t}>, tensor<?x{g}x?x{d}x{t}>, tensor<?x{g}x?x{d}x{t}>, tensor<?x{h}x1x{d}x{t}>)
    -> tensor<?x{h}x1x{d}x{t}>
  return %o : tensor<?x{h}x1x{d}x{t}>
}}
"""

PAGE = 64
PAGED = """
func.func @decode(%q: tensor<?x{h}x1x{d}x{t}>, %kp: tensor<?x{g}x{s}x{d}x{t}>, %vp: tensor<?x{g}x{s}x{d}x{t}>,
                  %table: tensor<?x?xi32>, %lengths: tensor<?xi32>) -> tensor<?x{h}x1x{d}x{t}> {{
  %zero = arith.constant 0 : index
  %b = tensor.dim %q, %zero : tensor<?x{h}x1x{d}x{t}>
  %k = repo.cache_view %kp table(%table) lengths(%lengths)
    : (tensor<?x{g}x{s}x{d}x{t}>, tensor<?x?xi32>, tensor<?xi32>) -> tensor<?x{g}x?x{d}x{t}>
  %v = repo.cache_view %vp table(%table) lengths(%lengths)
    : (tensor<?x{g}x{s}x{d}x{t}>, tensor<?x?xi32>, tensor<?xi32>) -> tensor<?x{g}x?x{d}x{t}>
  %init = tensor.empty(%b) : tensor<?x{h}x1x{d}x{t}>
  %o = repo.attention %q, %k, %v lengths(%lengths) into %init
    : (tensor<?x{h}x1x{d}x{t}>, tensor<?x{g}x?x{d}x{t}>, tensor<?x{g}x?x{d}x{t}>, tensor<?xi32>, tensor<?x{h}x1x{d}x{t}>)
    -> tensor<?x{h}x1x{d}x{t}>
  return %o : tensor<?x{h}x1x{d}x{t}>
}}
"""


def cases(limits, threads=(1, 2), dtypes=("f32", "bf16", "f16")):
    for dtype, batch, kv_heads in itertools.product(dtypes, (1, 8), (16, 4)):
        for number in threads:
            yield case(limits, f"decode B{batch} H{HEADS}/{kv_heads} D{SIZE} keys {KEYS}", dtype, batch, kv_heads,
                       number)
    for dtype, number in itertools.product(dtypes, threads):
        yield case(limits, f"decode B8 H{HEADS}/16 D{SIZE} keys {KEYS} in pages", dtype, 8, 16, number, paged=True)


def aligned_copy(array):
    """A copy at a multiple of 64 bytes, as tensors and caches are."""
    memory = np.empty(array.nbytes + 64, np.uint8)
    start = -memory.ctypes.data % 64
    copy = memory[start:start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


@functools.lru_cache(maxsize=1)
def data(dtype, batch, kv_heads):
    """A query, and caches enough to fill BYTES, two at least."""
    rng = np.random.default_rng(0)
    first = convert(rng.standard_normal((batch, kv_heads, KEYS, SIZE), np.float32), dtype)
    count = max(2, -(-BYTES // (2 * first.nbytes)))
    query = convert(rng.standard_normal((batch, HEADS, 1, SIZE), np.float32), dtype)
    return query, [(aligned_copy(first), aligned_copy(first)) for _ in range(count)]


def case(limits, name, dtype, batch, kv_heads, threads, paged=False):
    def calls():
        query, caches = data(dtype, batch, kv_heads)
        text = (PAGED if paged else ATTENTION).format(h=HEADS, g=kv_heads, d=SIZE, t=dtype, s=PAGE)
        entry, out, rest = repo.compile(text)["decode"], np.empty_like(query), []
        if paged:  # the same memory, cut to pages that are used in any order
            caches = [[x.reshape(-1, kv_heads, PAGE, SIZE) for x in cache] for cache in caches]
            table = np.random.default_rng(1).permutation(batch * KEYS // PAGE).reshape(batch, -1).astype(np.int32)
            rest = [table, np.full(batch, KEYS, np.int32)]
        turn = itertools.cycle([entry.bind(query, *cache, *rest, out=out) for cache in caches])

        def call():
            repo.set_num_threads(threads)
            next(turn)()

        return call

    def reader():
        peak = limits.bf16(threads) if dtype == "bf16" else limits.fma(threads)
        return limits.reader(data(dtype, batch, kv_heads)[1], threads, 4 * batch * HEADS * KEYS * SIZE, peak)

    size = 2 * batch * kv_heads * KEYS * SIZE * (4 if dtype == "f32" else 2)
    return Case(name=name, dtype=dtype, threads=threads, work=size / 1e9, unit="GB/s", limit=0, bar=lazily(reader),
                ours=lazily(calls),
                peers=lambda: {} if paged else peers.decode(*data(dtype, batch, kv_heads), dtype, threads))

