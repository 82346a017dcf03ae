"""Memory of kernels: what they ask for grows as the sequence, and is known before any work is done."""

import ctypes

import numpy as np
import pytest

import repo_mlir as repo
from repo_mlir import runtime

HEADS, SIZE = 16, 128


@pytest.fixture
def asked(request):
    """Bytes of each workspace that is asked for; none is given."""
    bytes_asked = []
    allocate = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)(
        lambda host, count: bytes_asked.append(count))
    release = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(lambda host, memory: None)
    library = runtime.runtime()
    library.repo_rt_set_allocator.argtypes = [ctypes.c_void_p] * 4
    library.repo_rt_set_allocator.restype = None
    library.repo_rt_set_allocator(runtime.context(), allocate, release, None)
    yield bytes_asked
    library.repo_rt_set_allocator(runtime.context(), None, None, None)


def workspace(asked, n, m, kv_heads=HEADS, dtype=np.float32, threads=1):
    """Of causal attention, from arrays that are never touched."""
    asked.clear()
    q, k, v = (np.empty((1, heads, count, SIZE), dtype) for heads, count in ((HEADS, n), (kv_heads, m), (kv_heads, m)))
    zq, zk = np.empty((1, kv_heads, n), np.float32), np.empty((1, kv_heads, m), np.float32)
    before = runtime._threads
    repo.set_num_threads(threads)
    try:
        with pytest.raises(repo.RepoError, match="out of memory"):
            repo.attention(q, k, v, zq, zk, rope=repo.Rope(), causal=True, out=np.empty_like(q))
    finally:
        runtime._threads = before
    return asked[-1]  # before that, what calls before this one needed


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("n", [1024, 4096, 32768])
def test_workspace_of_attention(asked, n, threads, dtype):
    """Packed keys and values of the heads in flight (as many as fit 8 MB, or one a thread), 2 MB a thread; no scores of all pairs."""
    packed = 2 * n * SIZE * 4
    assert 0 < workspace(asked, n, n, threads=threads, dtype=dtype) <= max(8 << 20, threads * packed) + threads * (2 << 20)


@pytest.mark.parametrize("n", [1, 16])
def test_workspace_of_decode(asked, n):
    """Partial sums of chunks of keys: less than the cache by far."""
    assert workspace(asked, n, 32768, threads=2) <= 4 * (2 << 20)
