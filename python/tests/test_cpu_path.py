"""The CPU path: what takes it, and that every optional pass costs speed alone, never results."""

import itertools
import pathlib
import re

import numpy as np
import pytest
from safetensors.numpy import load_file

import repo_mlir as repo
import repo_mlir.ops
from conftest import GOLDEN, ROOT, expectations
from test_documented_examples import EXAMPLES

Q, K = np.zeros((1, 4, 5, 8), np.float32), np.zeros((1, 2, 7, 8), np.float32)
ROPE = repo.Rope(10000.0)
OPTIONS = {
    "positions": dict(zq=np.zeros((1, 4, 5), np.float32), zk=np.zeros((1, 2, 7), np.float32), rope=ROPE),
    "positions per query head": dict(zq=np.zeros((1, 4, 5), np.float32), zk=np.zeros((1, 4, 7), np.float32), rope=ROPE),
    "shared positions": dict(zq=np.zeros((1, 1, 5), np.float32), zk=np.zeros((1, 1, 7), np.float32), rope=ROPE),
    "causal": dict(causal=True),
    "window": dict(window=(3, 2)),
    "scale": dict(scale=0.5),
    "softcap": dict(softcap=20.0),
    "bias": dict(bias=np.zeros((4, 5, 7), np.float32)),
    "mask": dict(mask=np.ones((5, 7), bool)),
    "lengths": dict(lengths=np.array([6], np.int32), offset=0),
    "offset": dict(offset=-2),
    "lse": dict(return_lse=True),
    "odd value size": dict(v=np.zeros((1, 2, 7, 5), np.float32)),
    "float16": dict(dtype="float16"),
    "bfloat16": dict(dtype="bfloat16"),
}
CONFLICTS = [{"positions", "positions per query head", "shared positions"}, {"float16", "bfloat16"}]


PAIRS = [pair for pair in itertools.combinations(OPTIONS, 2) if not any(set(pair) <= group for group in CONFLICTS)]


@pytest.mark.parametrize("names", PAIRS, ids=" + ".join)
def test_every_pair_of_options_is_tiled(names, monkeypatch):
    seen = []
    monkeypatch.setattr(repo_mlir.ops, "_run", lambda source, *rest: seen.append(source))
    options = {key: value for name in names for key, value in OPTIONS[name].items()}
    dtype = repo_mlir.arrays.numpy_dtype(options.pop("dtype", "float32"))
    v = options.pop("v", K)
    repo.attention(Q.astype(dtype), K.astype(dtype), v.astype(dtype), **options)
    tiled = repo.opt(seen[0], "builtin.module(repo-split-rotation,repo-tile-attention)")
    assert "repo.online_attention" in tiled
    assert "repo.attention" not in tiled, "falls back to the decomposition"


PASSES = ["repo-split-rotation", "repo-split-keys", "repo-vectorize-transposes", "repo-tile-attention", "repo-tile-rotation", "repo-expand-trigonometry", "repo-parallelize",
          "repo-lower-online-attention", "repo-vectorize-contractions"]


@pytest.mark.parametrize("name", PASSES)
def test_an_operator_without_a_pass(run, tmp_path, name):
    status, _, error = run("repo-compile", ROOT / "test/Integration/CPU/attention-mha.mlir", "-o", tmp_path / "a.so",
                           f"--skip={name}")
    assert status == 0, error
    golden = GOLDEN / "attention-mha.safetensors"
    status, out, error = run("repo-run", tmp_path / "a.so", "--entry=attention", f"--inputs={golden}",
                             f"--expect={golden}", "--atol=4e-6")
    assert status == 0, error


@pytest.mark.parametrize("name", [*PASSES, "repo-fuse-contractions", "repo-fuse-elementwise", "repo-fuse-epilogues",
                                  "repo-reassociate-sums"])
def test_a_model_without_a_pass(run, tmp_path, name):
    model = "tiny-continuous"
    folder = GOLDEN / model
    status, _, error = run("repo-compile", f"--model={folder}", "-o", tmp_path / "m", f"--skip={name}")
    assert status == 0, error
    expected = load_file(folder / "expect-0.safetensors")
    logits = repo.load_model(tmp_path / "m", folder).logits(expected["tokens"])
    bound = max(2e-6, 3 * expectations(model)["reference_f32_error"]["expect-0"])
    assert np.abs(logits - expected["logits"]).max() <= bound * np.abs(expected["logits"]).max()


def test_skipping_what_is_not_optional(run, tmp_path):
    status, _, error = run("repo-compile", ROOT / "test/Integration/CPU/attention-mha.mlir", "-o", tmp_path / "a.so",
                           "--skip=repo-bufferize")
    assert status == 2 and "expected --skip to name optional passes" in error


def test_report(run, tmp_path):
    status, _, error = run("repo-compile", ROOT / "test/Integration/CPU/attention-mha.mlir", "-o", tmp_path / "a.so",
                           "--report", "--cpu=x86-64-v3")
    assert status == 0
    assert "attention in blocks of 48 queries, 24 at a time, by 256 keys (64 at an edge)" in error and "from 8 lanes" in error


def test_report_names_every_op(run, tmp_path):
    examples = pathlib.Path(tmp_path / "all.mlir")
    # Names of functions and aliases, not of attributes such as #repo.rope, are their own in each example.
    text = "".join(re.sub(r"(?<!\w)#(\w+)\b(?!\.)", rf"#{name}_\1", re.sub(r"@f\(", f"@{name}(", example))
                   for name, example in EXAMPLES.items())
    aliases = dict.fromkeys(line.strip() for line in re.findall(r"^ *#.*$", text, re.M))
    examples.write_text("\n".join(aliases) + "\n" + re.sub(r"^ *#.*$", "", text, flags=re.M))
    status, _, error = run("repo-compile", examples, "-o", tmp_path / "all.so", "--report")
    assert status == 0, error
    remarks = re.findall(r"remark: (\w+) (.*)", error)
    said = dict(remarks)
    assert set(EXAMPLES) - {"online_attention"} <= set(said)
    assert said["attention"].startswith("in blocks of")
    assert ("rotate", "in parallel blocks of rows, a row at a time") in remarks
    assert ("rotate", "where attention reads it, a block of rows at a time") in remarks
    assert said["assign_positions"].startswith("as contractions on vectors")
    assert re.search(r"spills|no value waits", error)
    status, _, error = run("repo-compile", examples, "-o", tmp_path / "all.so", "--report", "--skip=repo-tile-attention")
    assert "remark: attention by its definition" in error


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_do_not_change_a_bit(threads):
    rng = np.random.default_rng(3)
    q, k, v = (rng.standard_normal((2, 3, 200, 64)).astype(np.float32) for _ in range(3))
    repo.set_num_threads(1)
    wanted = repo.attention(q, k, v, causal=True)
    repo.set_num_threads(threads)
    assert np.array_equal(repo.attention(q, k, v, causal=True), wanted)


def test_other_levels_by_their_assembly(run, tmp_path):
    """8-lane code has no 512-bit registers, 16-lane code no call of a library in its loops."""
    source = ROOT / "test/Integration/CPU/attention-mha.mlir"
    for cpu, present, absent in (("x86-64-v3", "ymm", "zmm"), ("x86-64-v4", "zmm", "exp2f")):
        status, _, error = run("repo-compile", source, "-o", tmp_path / "a.s", "--emit=asm", f"--cpu={cpu}")
        assert status == 0, error
        text = (tmp_path / "a.s").read_text()
        assert "vfmadd231ps" in text and present in text and absent not in text


def inner_loops(assembly):
    """The instructions of every loop without a label inside."""
    label, body = None, []
    for line in map(str.strip, assembly.splitlines()):
        if match := re.match(r"(\.LBB\w+):", line):
            label, body = match[1], []
        elif line and not line.startswith((".", "#")):
            body.append(line)
            if re.match(r"j\w+\s", line):
                if line.split()[-1] == label:
                    yield body
                label, body = None, []


@pytest.mark.parametrize("cpu, sums, register", [("x86-64-v3", (9, 12), "ymm"), ("x86-64-v4", (24,), "zmm")])
def test_products_stay_in_registers(run, tmp_path, cpu, sums, register):
    """The loops of both products: a multiply-add per sum, operands loaded, nothing stored, little else."""
    source = ROOT / "test/Integration/CPU/attention-mha.mlir"
    status, _, error = run("repo-compile", source, "-o", tmp_path / "a.s", "--emit=asm", f"--cpu={cpu}")
    assert status == 0, error
    loops = list(inner_loops((tmp_path / "a.s").read_text()))
    products = [loop for loop in loops if sum("vfmadd" in line and register in line for line in loop) in sums
                and len(loop) <= 2 * sums[-1] + 8]
    # Scores and values, with and without a mask.
    assert len(products) >= 4
    for loop in products:
        stores = [line for line in loop if re.match(r"vmov\w*\s+%[yz]mm\d+, \S*\(", line)]
        assert not stores, "a sum is spilled"
        assert not any(line.startswith("call") for line in loop)
    for loop in loops:
        if any("vfmadd" in line for line in loop):
            assert not any(line.startswith("call") for line in loop), "a library is called"
