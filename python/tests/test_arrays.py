"""Arrays of other libraries, odd strides, preallocated results, scalars, updates in place."""

import ml_dtypes
import numpy as np
import pytest

import reference
import repo_mlir as repo

RNG = np.random.default_rng(0)
Q, K, V = (RNG.standard_normal((2, 2, 5, 8)).astype(np.float32) for _ in range(3))
OUT = repo.attention(Q, K, V, causal=True)


class Exporter:
    """An array of a library that knows nothing but DLPack."""

    def __init__(self, array, device=(1, 0), versioned=True):
        self.array, self.device, self.versioned = array, device, versioned

    def __dlpack_device__(self):
        return self.device

    def __dlpack__(self, **options):
        if not self.versioned and options:
            raise TypeError("unexpected keyword argument")
        return self.array.__dlpack__(**options)


class Namespaced(Exporter):
    """One whose library makes arrays too."""

    def __array_namespace__(self):
        return Namespaced

    @staticmethod
    def from_dlpack(array):
        return Namespaced(array)


@pytest.mark.parametrize("versioned", [True, False])
def test_dlpack(versioned):
    out = repo.attention(*(Exporter(x, versioned=versioned) for x in (Q, K, V)), causal=True)
    assert isinstance(out, np.ndarray) and np.array_equal(out, OUT)
    strided = Exporter(Q[:, ::-1, :, ::-1], versioned=versioned)
    assert np.array_equal(repo.attention(strided, K, V), repo.attention(strided.array.copy(), K, V))
    out = np.zeros_like(OUT)
    given = Exporter(out, versioned=versioned)
    assert repo.attention(Q, K, V, causal=True, out=given) is given
    assert np.array_equal(out, OUT)
    empty = Exporter(Q[:, :, :0])
    assert repo.attention(Q, empty, empty).shape == Q.shape


def test_dlpack_results_are_of_the_same_library():
    out = repo.attention(Namespaced(Q), K, V, causal=True)
    assert isinstance(out, Namespaced) and np.array_equal(out.array, OUT)


def test_dlpack_read_only():
    fixed = np.zeros_like(OUT)
    fixed.flags.writeable = False
    if np.lib.NumpyVersion(np.__version__) < "2.1.0":
        pytest.skip("this NumPy exports no read-only arrays")
    assert repo.attention(Exporter(fixed), K, V).shape == OUT.shape
    with pytest.raises(repo.RepoError, match="expected a writable array"):
        repo.attention(Q, K, V, out=Exporter(fixed))


def test_dlpack_on_another_device():
    with pytest.raises(repo.RepoError, match="`q`: expected an array on the CPU, got one on DLPack device type 2"):
        repo.attention(Exporter(Q, device=(2, 0)), K, V)


def test_element_types():
    for dtype, bound in ((ml_dtypes.bfloat16, 2e-2), (np.float16, 2e-3), (np.float64, 1e-6)):
        out, lse = repo.attention(*(x.astype(dtype) for x in (Q, K, V)), causal=True, return_lse=True)
        assert out.dtype == dtype and lse.dtype == (np.float64 if dtype == np.float64 else np.float32)
        assert np.abs(out.astype(np.float32) - OUT).max() < bound
    with pytest.raises(repo.RepoError, match="`k`: element type complex64 is not supported"):
        repo.attention(Q, K.astype(np.complex64), V)
    with pytest.raises(repo.RepoError, match="`q`: expected native byte order"):
        repo.attention(Q.astype(">f4"), K, V)


@pytest.mark.parametrize("odd", [
    lambda x: np.frombuffer(b"\1" + x.tobytes(), np.uint8)[1:].view(x.dtype).reshape(x.shape),  # unaligned
    lambda x: np.rec.fromarrays([np.zeros(x.shape, np.int8), x], names="a,b").b,  # strides in no elements
    lambda x: x[:, :, ::-1][:, :, ::-1][:, ::-1].copy()[:, ::-1],  # negative
    lambda x: np.asfortranarray(x),
], ids=["unaligned", "record", "negative", "fortran"])
def test_odd_inputs_are_copied(odd):
    assert np.array_equal(odd(Q), Q)
    assert np.array_equal(repo.attention(odd(Q), odd(K), odd(V), causal=True), OUT)


def test_stride_zero():
    one = np.broadcast_to(K[:, :1], K.shape)
    assert one.strides[1] == 0
    assert np.array_equal(repo.attention(Q, one, one), repo.attention(Q, one.copy(), one.copy()))


def test_out():
    rope = repo.Rope(10000.0)
    z = RNG.standard_normal((2, 1, 5)).astype(np.float32)
    y = np.zeros_like(Q)
    assert repo.rotate(Q, z, rope, out=y) is y and np.array_equal(y, repo.rotate(Q, z, rope))
    h, w, wz = (RNG.standard_normal(s).astype(np.float32) for s in ((2, 5, 16), (4, 16), (3, 4)))
    z = np.zeros((2, 3, 5), np.float32)
    assert repo.assign_positions(h, w, w, wz, out=z) is z
    assert np.abs(z - reference.assign_positions(h, w, w, wz)).max() < 1e-4
    # A view with free outer strides, inside something bigger.
    big, lse = np.full((2, 5, 2, 11), 7, np.float32), np.zeros((2, 2, 5), np.float32)
    view = big[..., 2:10].transpose(0, 2, 1, 3)
    results = repo.attention(Q, K, V, causal=True, return_lse=True, out=(view, lse))
    assert results[0] is view and results[1] is lse and np.array_equal(view, OUT)
    assert (big[..., :2] == 7).all() and (big[..., 10:] == 7).all()
    assert np.array_equal(lse, repo.attention(Q, K, V, causal=True, return_lse=True)[1])


BAD_OUT = {
    "input": (lambda: Q, "expected memory of its own, as it is written; it overlaps `q`"),
    "a view of an input": (lambda: K.transpose(1, 0, 2, 3), "overlaps `k`"),
    "read-only": (lambda: np.broadcast_to(np.zeros(8, np.float32), OUT.shape), "expected a writable array"),
    "inner stride": (lambda: np.zeros((*OUT.shape, 2), np.float32)[..., 0], "inner stride 1"),
    "negative stride": (lambda: np.zeros_like(OUT)[:, ::-1], "inner stride 1"),
    "record": (lambda: np.rec.fromarrays([np.zeros(OUT.shape, np.int8), OUT], names="a,b").b, "aligned"),
    "type": (lambda: OUT.astype(np.float64), "`out`: expected float32, got float64"),
}


@pytest.mark.parametrize("case", BAD_OUT)
def test_bad_out(case):
    make, text = BAD_OUT[case]
    with pytest.raises(repo.RepoError) as caught:
        repo.attention(Q, K, V, out=make())
    assert text in str(caught.value)


def test_out_interleaved_with_an_input():
    both = np.zeros((2, 2, 5, 2, 8), np.float32)
    both[..., 0, :] = Q
    repo.attention(both[..., 0, :], K, V, causal=True, out=both[..., 1, :])
    assert np.array_equal(both[..., 0, :], Q) and np.array_equal(both[..., 1, :], OUT)


def test_scalars_and_updates_in_place():
    library = repo.compile("""
        func.func @scaled(%x: tensor<?xf32>, %s: f32, %n: index) -> tensor<?xf32> {
          %e = tensor.empty(%n) : tensor<?xf32>
          %f = linalg.fill ins(%s : f32) outs(%e : tensor<?xf32>) -> tensor<?xf32>
          %0 = arith.mulf %x, %f : tensor<?xf32>
          return %0 : tensor<?xf32>
        }
        func.func @append(%k: tensor<1x1x?x4xf32>, %v: tensor<1x1x?x4xf32>, %at: tensor<1xi32>,
                          %kc: tensor<1x1x?x4xf32> {repo.inout = 0 : index},
                          %vc: tensor<1x1x?x4xf32> {repo.inout = 1 : index})
            -> (tensor<1x1x?x4xf32>, tensor<1x1x?x4xf32>) {
          %0, %1 = repo.cache_append %k, %v at(%at) into %kc, %vc
            : (tensor<1x1x?x4xf32>, tensor<1x1x?x4xf32>, tensor<1xi32>, tensor<1x1x?x4xf32>, tensor<1x1x?x4xf32>)
            -> (tensor<1x1x?x4xf32>, tensor<1x1x?x4xf32>)
          return %0, %1 : tensor<1x1x?x4xf32>, tensor<1x1x?x4xf32>
        }""")
    x = np.arange(3, dtype=np.float32)
    assert np.array_equal(library["scaled"](x, 2.5, 3), 2.5 * x)
    with pytest.raises(repo.RepoError, match="expected an integer that fits"):
        library["scaled"](x, 2.5, 0.5)
    with pytest.raises(TypeError, match="expected 3 inputs, got 2"):
        library["scaled"](x, 2.5)
    rows = RNG.standard_normal((1, 1, 2, 4)).astype(np.float32)
    keys, values = np.zeros((1, 1, 6, 4), np.float32), np.zeros((1, 1, 6, 4), np.float32)
    library["append"](rows, 2 * rows, np.array([3], np.int32), keys, values)
    wanted = np.zeros_like(keys)
    wanted[:, :, 3:5] = rows
    assert np.array_equal(keys, wanted) and np.array_equal(values, 2 * wanted)
    with pytest.raises(repo.RepoError, match="expected memory of its own, as it is written"):
        library["append"](rows, rows, np.array([3], np.int32), keys, keys)


@pytest.mark.frameworks
def test_torch():
    import torch
    q, k, v = (torch.from_numpy(x) for x in (Q, K, V))
    out, lse = repo.attention(q, K, V, causal=True, return_lse=True)
    assert isinstance(out, torch.Tensor) and isinstance(lse, torch.Tensor)
    assert np.array_equal(out.numpy(), OUT)
    assert isinstance(repo.attention(Q, k, v), np.ndarray)
    given = torch.zeros(2, 5, 2, 8).transpose(1, 2)
    assert repo.attention(q, k, v, causal=True, out=given) is given and np.array_equal(given.numpy(), OUT)
    short = [x.to(torch.bfloat16) for x in (q, k, v)]
    wanted = repo.attention(*short, causal=True)
    assert wanted.dtype == torch.bfloat16
    # By DLPack alone, which NumPy cannot import.
    class Only:
        def __init__(self, x):
            self.x = x
        def __dlpack__(self, **options):
            return self.x.__dlpack__(**options)
        def __dlpack_device__(self):
            return self.x.__dlpack_device__()
    found = repo.attention(*map(Only, short), causal=True)
    assert found.dtype == ml_dtypes.bfloat16
    assert np.array_equal(found.astype(np.float32), wanted.to(torch.float32).numpy())
    with pytest.raises(repo.RepoError, match="expected a tensor on the CPU or a CUDA device, got one on meta"):
        repo.attention(q.to("meta"), k, v)
