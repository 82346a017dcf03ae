"""Code for the matrix unit (AMX), by emulation of its instructions, and for products of pairs, against float64."""

import functools
import subprocess

import ml_dtypes
import numpy as np
import pytest

import reference
import repo_mlir as repo
import repo_mlir.compiler
import test_bf16_models
import test_random
from conftest import BUILD, ROOT
from model_reference import ReferenceModel
from repo_mlir.make_checkpoint import make_checkpoint

BF16 = ml_dtypes.bfloat16


def compile_emulated(source, path, *flags):
    subprocess.run([str(BUILD / "bin" / "repo-compile"), "-", "--emulate=amx", "-o", str(path), *flags],
                   input=source, text=True, check=True, timeout=300)
    return repo.Library(str(path))


@pytest.mark.parametrize("cpu", ["native", "x86-64-v3"])
def test_tile_instructions(tmp_path, cpu):
    """Shapes smaller than a register, sums carried by a loop, subnormal numbers as zero."""
    f = compile_emulated((ROOT / "test/Target/emulate-tiles.mlir").read_text(), tmp_path / "f.so", f"--cpu={cpu}")["f"]
    rng = np.random.default_rng(0)
    a, w = (rng.standard_normal(shape).astype(BF16) for shape in ((12, 64), (64, 16)))
    a[3], w[:, 5] = 1e-39, 1e-17
    a[4], w[:, 6] = 1e-20, 1e-25
    panels = w.reshape(2, 16, 2, 16).transpose(0, 1, 3, 2).reshape(2, 16, 32).copy()
    wanted = a.astype(np.float64) @ w.astype(np.float64)
    wanted[3] = wanted[4, 6] = 0
    out = f(a, panels)
    assert np.abs(out - wanted).max() <= 2e-6 * np.abs(wanted).max()
    assert not out[3].any() and out[4, 6] == 0 and out[4, 5] != 0


@pytest.fixture(scope="module")
def emulated_entry(tmp_path_factory):
    folder = tmp_path_factory.mktemp("amx")

    @functools.lru_cache(maxsize=None)
    def entry(source):
        return compile_emulated(source, folder / f"{abs(hash(source))}.so")["f"]

    return entry


@pytest.fixture(params=["amx", "pairs"])
def panels(request, monkeypatch, emulated_entry):
    """Functions of repo_mlir run code for the matrix unit; or for vectors that multiply pairs of bf16, where this CPU has them."""
    if request.param == "amx":
        monkeypatch.setattr(repo.ops, "_entry", lambda source, pipeline: emulated_entry(source))
    elif {"avx512bf16", "amx-bf16"} & set(repo_mlir.compiler.features("native").split()) != {"avx512bf16"}:
        pytest.skip("no AVX512-BF16 here, or AMX, which goes before it")


# Configurations 40 apart differ in sizes and values, not in what is compiled.
@pytest.mark.parametrize("static", [1, 7, 11])
def test_attention(panels, static):
    for draw in range(33):
        test_random.run(static + test_random.STATIC * draw, "bfloat16")


def attend(q, k, v, **options):
    """Against float64, by the error of plain arithmetic in bfloat16."""
    out = repo.attention(q, k, v, **options).astype(np.float64)
    wanted, _ = reference.attention(q, k, v, rope={}, **options)
    plain, _ = reference.attention(q, k, v, rope={}, dtype=BF16, **options)
    bound = max(2 * np.abs(plain.astype(np.float64) - wanted).max(), 2.0 ** -8 * np.abs(wanted).max())
    assert np.abs(out - wanted).max() <= bound
    return out


@pytest.mark.parametrize("sign", [1, -1])
def test_large_logits(panels, sign):
    """Logits of up to 10^4: the true maximum is taken off, nothing overflows, nothing vanishes."""
    rng = np.random.default_rng(1)
    q, k, v = (rng.standard_normal((1, 2, 300, 64)).astype(np.float32) for _ in range(3))
    q[..., 0], k[..., 0] = 283.0, sign * 283.0 * rng.random((1, 2, 300))
    attend(q.astype(BF16), k.astype(BF16), v.astype(BF16), causal=True)


def test_rows_without_keys_and_garbage(panels):
    """What lies past the lengths, or before a window, reaches no result; NaN stays where it is visible."""
    rng = np.random.default_rng(2)
    q, k, v = (rng.standard_normal((2, 2, 200, 64)).astype(BF16) for _ in range(3))
    lengths, offset = np.array([0, 150], np.int32), np.array([0, 0], np.int32)
    k[0], v[0], k[1, :, 150:], v[1, :, 150:] = np.nan, np.inf, np.inf, np.nan
    options = dict(lengths=lengths, offset=offset, window=(40, 0))
    out, lse = repo.attention(q, k, v, return_lse=True, **options)
    out = out.astype(np.float64)
    assert not out[0].any() and np.isneginf(lse[0]).all()
    assert np.isfinite(out[1]).all() and not out[1, :, 190:].any()
    k[1, 1, 100] = np.nan
    hit = repo.attention(q, k, v, **options).astype(np.float64)
    assert np.isnan(hit[1, 1, 100:141]).all()
    assert np.array_equal(hit[1, 0], out[1, 0])


LINEAR = """
#x = affine_map<(n, o, i) -> (n, i)>
#w = affine_map<(n, o, i) -> (o, i)>
#y = affine_map<(n, o, i) -> (n, o)>
func.func @linear(%x: tensor<?x{i}xbf16>, %w: tensor<{o}x{i}xbf16> {{repo.constant}}) -> tensor<?x{o}xf32> {{
  %z = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?x{i}xbf16>
  %e = tensor.empty(%n) : tensor<?x{o}xf32>
  %f = linalg.fill ins(%z : f32) outs(%e : tensor<?x{o}xf32>) -> tensor<?x{o}xf32>
  %r = linalg.contract indexing_maps = [#x, #w, #y] ins(%x, %w : tensor<?x{i}xbf16>, tensor<{o}x{i}xbf16>)
    outs(%f : tensor<?x{o}xf32>) -> tensor<?x{o}xf32>
  return %r : tensor<?x{o}xf32>
}}
"""


@pytest.mark.parametrize("o, i", [(96, 1056), (40, 64)])
def test_linear(tmp_path, o, i):
    """Packed weights in panels of pairs: tails of rows, of panels and of products; few rows, as in decoding."""
    library = compile_emulated(LINEAR.format(o=o, i=i), tmp_path / "linear.so")
    rng = np.random.default_rng(o)
    w = rng.standard_normal((o, i)).astype(BF16)
    packed = library.pack("linear", w)
    for n in (1, 8, 16, 33, 300):
        x = rng.standard_normal((n, i)).astype(BF16)
        wanted = x.astype(np.float64) @ w.astype(np.float64).T
        y = library["linear_packed"](packed, x)
        assert np.abs(y - wanted).max() <= 2e-6 * np.abs(wanted).max()


def test_model(tmp_path, run):
    """A model in bf16 has its prompts' attention on tiles, with queries that turn in f32; single tokens go another way."""
    weights, folder = tmp_path / "weights", tmp_path / "model"
    make_checkpoint(weights, "tiny", dtype="bf16", layers=1, start_layer=0)
    status, _, report = run("repo-compile", f"--model={weights}", "-o", folder, "--dtype=bf16", "--emulate=amx", "--report")
    assert status == 0, report
    assert report.count("for tiles of the matrix unit in bf16") == 2  # prompts, in a row of memory and in pages
    model, exact, plain = repo.load_model(folder, weights), ReferenceModel(weights), ReferenceModel(weights, BF16)
    tokens = np.random.default_rng(0).integers(0, exact.config["vocab_size"], (2, 70))
    wanted, framework = exact(tokens)[0], plain(tokens)[0]
    bound = 2 * test_bf16_models.largest_error(framework, wanted)
    logits = model.logits(tokens)
    assert test_bf16_models.largest_error(logits, wanted) <= bound
    for session in (model.session(batch=2), model.session(batch=2, pages=model.pages(400))):
        session.append(tokens[:, :-1])
        assert test_bf16_models.largest_error(session.append(tokens[:, -1:]), wanted[:, -1]) <= bound
