"""Weights packed once: NAME_pack and NAME_packed of libraries, and of models."""

import numpy as np
import pytest

import repo_mlir as repo

LINEAR = """
#x = affine_map<(n, o, i) -> (n, i)>
#w = affine_map<(n, o, i) -> (o, i)>
#y = affine_map<(n, o, i) -> (n, o)>
func.func @linear(%x: tensor<?x{i}x{x}>, %w: tensor<{o}x{i}x{type}> {{repo.constant}}, %b: tensor<{o}xf32> {{repo.constant}})
    -> tensor<?x{o}xf32> {{
  %z = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?x{i}x{x}>
  %e = tensor.empty(%n) : tensor<?x{o}xf32>
  %f = linalg.fill ins(%z : f32) outs(%e : tensor<?x{o}xf32>) -> tensor<?x{o}xf32>
  %r = linalg.contract indexing_maps = [#x, #w, #y] ins(%x, %w : tensor<?x{i}x{x}>, tensor<{o}x{i}x{type}>)
    outs(%f : tensor<?x{o}xf32>) -> tensor<?x{o}xf32>
  %s = linalg.generic {{indexing_maps = [affine_map<(n, o) -> (o)>, affine_map<(n, o) -> (n, o)>],
    iterator_types = ["parallel", "parallel"]}} ins(%b : tensor<{o}xf32>) outs(%r : tensor<?x{o}xf32>) {{
  ^bb0(%bias: f32, %sum: f32):
    %t = arith.addf %bias, %sum : f32
    linalg.yield %t : f32
  }} -> tensor<?x{o}xf32>
  return %s : tensor<?x{o}xf32>
}}
"""


def make(o, i, kind, x="f32"):
    random = np.random.default_rng(o + i)
    w = random.standard_normal((o, i)).astype(np.float32)
    if kind != "f32":
        ml_dtypes = pytest.importorskip("ml_dtypes")
        w = w.astype(ml_dtypes.bfloat16 if kind == "bf16" else np.float16)
    library = repo.compile(LINEAR.format(o=o, i=i, type=kind, x=x))
    return library, w, random.standard_normal(o).astype(np.float32), random


@pytest.mark.parametrize("o,i,kind", [(128, 64, "f32"), (100, 33, "f32"), (7, 300, "bf16"), (192, 520, "f16")])
def test_packed_agrees(o, i, kind):
    library, w, b, random = make(o, i, kind)
    packed = library.pack("linear", w, b)
    assert packed.ctypes.data % 64 == 0
    np.testing.assert_array_equal(packed, library.pack("linear", w, b))
    for n in (1, 2, 5, 30, 64):
        x = random.standard_normal((n, i)).astype(np.float32)
        expected = x.astype(np.float64) @ w.astype(np.float64).T + b
        scale = np.abs(expected).max()
        for y in (library["linear_packed"](packed, x), library["linear"](x, w, b)):
            assert np.abs(y - expected).max() <= 2e-6 * scale


@pytest.mark.parametrize("o,i", [(192, 520), (70, 34), (64, 33)])
def test_both_in_bf16(o, i):
    """Sums are in f32, also where pairs of products are added at once: exact but for their rounding."""
    ml_dtypes = pytest.importorskip("ml_dtypes")
    library, w, b, random = make(o, i, "bf16", x="bf16")
    packed = library.pack("linear", w, b)
    for n in (1, 7, 30):
        x = random.standard_normal((n, i)).astype(ml_dtypes.bfloat16)
        expected = x.astype(np.float64) @ w.astype(np.float64).T + b
        for y in (library["linear_packed"](packed, x), library["linear"](x, w, b)):
            assert np.abs(y - expected).max() <= 2e-6 * np.abs(expected).max()


def test_parts():
    """The parts that the manifest lists make the whole, one by one."""
    library, w, b, _ = make(100, 33, "f32")
    packed = library.pack("linear", w, b)
    pack = library.manifest["entries"][[e["name"] for e in library.manifest["entries"]].index("linear_pack")]
    constants = dict(zip([a["name"] for a in pack["args"]], [w, b]))
    again = np.zeros_like(packed)
    assert len(pack["parts"]) == 2
    for part in pack["parts"]:
        sources = [constants[name] for name in part["sources"]]
        bytes_of_part = library[part["entry"]](*sources)
        again[part["offset"]:part["offset"] + part["bytes"]] = bytes_of_part[:part["bytes"]]
        end = part["offset"] + part["bytes"]
    np.testing.assert_array_equal(packed[:end], again[:end])


def test_threads_agree():
    library, w, b, random = make(192, 520, "f16")
    packed = library.pack("linear", w, b)
    x = random.standard_normal((70, 520)).astype(np.float32)
    results = []
    for threads in (1, 2, 3):
        repo.set_num_threads(threads)
        results.append(library["linear_packed"](packed, x))
    repo.set_num_threads(2)
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


def test_bad_packed():
    library, w, b, random = make(128, 64, "f32")
    packed = library.pack("linear", w, b)
    x = random.standard_normal((3, 64)).astype(np.float32)
    with pytest.raises(repo.RepoError, match="`packed`: expected dimension 0 to be 33280, got 33216"):
        library["linear_packed"](packed[:-64], x)
    unaligned = np.empty(packed.size + 65, np.uint8)
    start = -unaligned.ctypes.data % 64 + 1
    with pytest.raises(repo.RepoError, match="`packed`: expected an address aligned to 64 bytes"):
        library["linear_packed"](unaligned[start:start + packed.size], x)
    with pytest.raises(repo.RepoError, match="no entry `other`"):
        library.pack("other", w)
    with pytest.raises(repo.RepoError, match="`linear_packed` has no constant weights to pack"):
        library.pack("linear_packed", w)
