"""Bad input to repo-compile and repo-run: one line, the right exit status, no file left behind."""

import json
import resource
import shutil
import struct

import pytest

from conftest import GOLDEN, ROOT

MODEL = GOLDEN / "tiny-continuous"
KERNEL = "func.func @f(%x: tensor<?x4xf32>) -> tensor<?x4xf32> { return %x : tensor<?x4xf32> }"


def fails(result, status, *parts):
    code, out, error = result
    assert code == status, (code, out, error)
    assert error.count("\n") == 1, error
    for part in parts:
        assert part in error


@pytest.fixture
def kernel(tmp_path):
    path = tmp_path / "f.mlir"
    path.write_text(KERNEL)
    return path


@pytest.fixture
def checkpoint(tmp_path):
    shutil.copytree(MODEL, tmp_path / "model")
    return tmp_path / "model"


def edit_config(folder, **changes):
    config = json.loads((folder / "config.json").read_text())
    config.update(changes)
    (folder / "config.json").write_text(json.dumps(config))


def edit_header(folder, edit):
    path = folder / "model.safetensors"
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    edit(header)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + size:])


@pytest.mark.parametrize("arguments, part", [
    ([], "expected one input file"),
    (["x.mlir"], "expected -o"),
    (["x.mlir", "-o", "y", "--frobnicate"], "unknown flag `--frobnicate`"),
    (["x.mlir", "-o", "y", "--emit=elf"], "expected --emit to be mlir, llvm, asm"),
    (["x.mlir", "-o", "y", "--emit=ptx"], "expected --target=cuda with --chip, --emulate, --emit=ptx or --emit=cubin"),
    (["x.mlir", "-o", "y", "--emulate"], "expected --target=cuda with --chip, --emulate, --emit=ptx or --emit=cubin"),
    (["x.mlir", "-o", "y", "--target=tpu"], "expected --target to be cpu or cuda, got `tpu`"),
    (["x.mlir", "-o"], "expected a value of --o"),
    (["x.mlir", "-o", "--report"], "expected a value of --o"),
    (["x.mlir", "y.mlir", "-o", "z"], "expected one input file or --model, got 2 files"),
    (["x.mlir", "-o", "y", "--stop-after=lunch"], "expected --stop-after to be graph, schedule, tile, vector or llvm, got `lunch`"),
    (["x.mlir", "-o", "y", "--sanitize=memory"], "expected --sanitize to be address, thread"),
    (["x.mlir", "-o", "y", "--report=much"], "expected no value of --report, got `much`"),
    (["x.mlir", "-o", "y", "--dtype=f16"], "expected --dtype to be f32 or bf16, got `f16`"),
    (["x.mlir", "-o", "y", "--pipeline=fast"], "expected --pipeline to be cpu or reference, got `fast`"),
])
def test_compile_usage(run, arguments, part):
    fails(run("repo-compile", *arguments), 2, part)


@pytest.mark.parametrize("arguments, part", [
    ([], "expected one library"),
    (["a.so"], "expected --list or --entry"),
    (["a.so", "--entry=f"], "expected --inputs"),
    (["a.so", "--entry=f", "--inputs=x", "--rtol=close"], "expected --rtol to be a number"),
    (["--model=m", "--tokens=1"], "expected --weights"),
    (["--model=m", "--weights=w", "--tokens=1,two"], "expected --tokens to be numbers"),
    (["--model=m", "--weights=w", "--tokens=1", "--top-p=1.5"], "expected --top-p to be from 0 to 1, got `1.5`"),
    (["--frobnicate"], "unknown flag `--frobnicate`"),
    (["a.so", "--entry=f", "--inputs=x", "--time=often"], "expected --time to be an integer"),
])
def test_run_usage(run, arguments, part):
    fails(run("repo-run", *arguments), 2, part)


def test_missing_file(run, tmp_path):
    fails(run("repo-compile", tmp_path / "none.mlir", "-o", tmp_path / "x.so"), 1,
          "none.mlir", "No such file or directory")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text, part", [
    ("func.func @f(", "bad.mlir:1:"),
    ("func.func @f(%x: tensor<2xf32>) -> tensor<3xf32> { return %x : tensor<2xf32> }", "error:"),
    ("func.func @f(%q: tensor<1x1x4x8xf32>, %z: tensor<1x1x4xf32>) -> tensor<1x1x4x8xf32> {\n"
     "  %0 = repo.rotate %q by(%z) {rope = #repo.rope<theta = 1.0e4, dim = 16>} : "
     "(tensor<1x1x4x8xf32>, tensor<1x1x4xf32>) -> tensor<1x1x4x8xf32>\n"
     "  return %0 : tensor<1x1x4x8xf32> }", "at most the head size 8, got 16"),
])
def test_malformed_ir(run, tmp_path, text, part):
    path = tmp_path / "bad.mlir"
    path.write_text(text)
    fails(run("repo-compile", path, "-o", tmp_path / "x.so"), 1, part)
    assert [file.name for file in tmp_path.iterdir()] == ["bad.mlir"]


def test_unwritable_output(run, kernel, tmp_path):
    fails(run("repo-compile", kernel, "-o", tmp_path / "no" / "x.so"), 1, "cannot write")
    fails(run("repo-compile", kernel, "-o", "/dev/full", "--emit=asm"), 1,
          "cannot write `/dev/full`: No space left on device")


@pytest.mark.parametrize("limit", [0, 1000, 9000])
def test_file_size_limit(run, kernel, tmp_path, limit):
    """A disk that is full part of the way: nothing is left, not even the header."""
    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    fails(run("repo-compile", ROOT / "test/Integration/CPU/attention-mha.mlir", "-o", tmp_path / "x.so",
              preexec_fn=limited), 1, "File too large")
    fails(run("repo-compile", f"--model={MODEL}", "-o", tmp_path / "m", "--pipeline=reference", preexec_fn=limited), 1,
          "File too large")
    fails(run("repo-compile", kernel, "-o", tmp_path / "x.so", f"--save-temps={tmp_path / 'temps'}",
              preexec_fn=limited), 1) if limit == 0 else None
    assert {file.name for file in tmp_path.iterdir()} <= {"f.mlir", "temps"}


def test_full_disk_for_outputs(run, kernel, golden_model, tmp_path):
    import numpy as np
    from safetensors.numpy import save_file
    assert run("repo-compile", kernel, "-o", tmp_path / "f.so")[0] == 0
    save_file({"arg0": np.zeros((2, 4), np.float32)}, tmp_path / "in")
    fails(run("repo-run", tmp_path / "f.so", "--entry=f", f"--inputs={tmp_path / 'in'}", "--outputs=/dev/full"), 1,
          "/dev/full", "No space left on device")
    for flag in ("--logits", "--positions"):
        fails(run("repo-run", f"--model={golden_model(MODEL.name)}", f"--weights={MODEL}", "--tokens=1,2",
                  f"{flag}=/dev/full"), 1, "/dev/full", "No space left on device")

    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))

    fails(run("repo-run", tmp_path / "f.so", "--entry=f", f"--inputs={tmp_path / 'in'}",
              f"--outputs={tmp_path / 'out'}", preexec_fn=limited), 1, "File too large")
    assert not (tmp_path / "out").exists()


def test_unreadable_files(run, tmp_path):
    fails(run("repo-compile", tmp_path, "-o", tmp_path / "x.so"), 1, "Is a directory")
    fails(run("repo-compile", f"--model={tmp_path / 'none'}", "-o", tmp_path / "x"), 1, "config.json: No such file or directory")
    fails(run("repo-compile", f"--model={ROOT / 'README.md'}", "-o", tmp_path / "x"), 1, "config.json: Not a directory")
    (tmp_path / "config.json").mkdir()
    fails(run("repo-compile", f"--model={tmp_path}", "-o", tmp_path / "x"), 1, "config.json: Is a directory")
    fails(run("repo-run", tmp_path / "none.so", "--list"), 1, "none.so", "No such file or directory")
    assert [file.name for file in tmp_path.iterdir()] == ["config.json"]


def test_unknown_cpu(run, kernel, tmp_path):
    fails(run("repo-compile", kernel, "-o", tmp_path / "x.so", "--cpu=z80"), 1, "unknown cpu `z80`")
    fails(run("repo-compile", kernel, "-o", tmp_path / "x.so", "--features=+warp"), 1,
          "unknown feature `+warp`")


def test_library_is_none(run, tmp_path):
    (tmp_path / "x.so").write_bytes(b"no library")
    fails(run("repo-run", tmp_path / "x.so", "--list"), 1, "x.so")


def test_entry_and_inputs(run, kernel, tmp_path):
    import numpy as np
    from safetensors.numpy import save_file
    library = tmp_path / "f.so"
    assert run("repo-compile", kernel, "-o", library)[0] == 0
    save_file({"arg0": np.zeros((2, 4), np.float32)}, tmp_path / "good")
    save_file({"arg0": np.zeros((2, 5), np.float32)}, tmp_path / "shape")
    save_file({"arg0": np.zeros((2, 4), np.float64)}, tmp_path / "type")
    save_file({"other": np.zeros((2, 4), np.float32)}, tmp_path / "name")
    assert run("repo-run", library, "--entry=f", f"--inputs={tmp_path / 'good'}")[0] == 0
    for name, parts in {"shape": ["`arg0`", "expected dimension 1 to be 4, got 5"],
                        "type": ["`arg0`", "expected element type f32, got f64"],
                        "name": ["expected a tensor `arg0`", "found none"]}.items():
        fails(run("repo-run", library, "--entry=f", f"--inputs={tmp_path / name}"), 1, *parts)
    fails(run("repo-run", library, "--entry=g", f"--inputs={tmp_path / 'good'}"), 1, "no entry `g`")


def test_expect_that_does_not_hold(run, kernel, tmp_path):
    import numpy as np
    from safetensors.numpy import save_file
    library = tmp_path / "f.so"
    assert run("repo-compile", kernel, "-o", library)[0] == 0
    x = np.arange(8, dtype=np.float32).reshape(2, 4)
    save_file({"arg0": x}, tmp_path / "in")
    x[1, 2] = 9
    save_file({"result0": x}, tmp_path / "expected")
    fails(run("repo-run", library, "--entry=f", f"--inputs={tmp_path / 'in'}",
              f"--expect={tmp_path / 'expected'}", "--atol=0.1"), 1,
          "`result0`: largest error 3; at [1,2] expected 9, got 6")


@pytest.mark.parametrize("changes, part", [
    ({"hidden_act": "relu"}, "`hidden_act`: expected silu, got \"relu\""),
    ({"pe_config": {"dynamic_pe_mode": "cope"}}, "`dynamic_pe_mode`: expected none, nope"),
    ({"rope_scaling": {"rope_type": "longrope"}}, "`rope_type`: expected default, linear"),
    ({"num_attention_heads": None}, "expected `num_attention_heads`"),
    ({"hidden_size": -1}, "`hidden_size`: expected an integer from 1"),
    ({"hidden_size": "wide"}, "`hidden_size`: expected an integer from 1"),
    ({"hidden_size": 64.5}, "`hidden_size`: expected an integer from 1"),
    ({"num_hidden_layers": 10 ** 30}, "`num_hidden_layers`: expected an integer from 1"),
    ({"vocab_size": 0}, "`vocab_size`: expected an integer from 1"),
    ({"rms_norm_eps": "small"}, "`rms_norm_eps`"),
    ({"rope_theta": -1.0}, "`rope_theta`"),
    ({"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}, "`rope_type`: expected default, linear"),
    ({"rope_scaling": {"rope_type": "yarn"}}, "factor"),
    ({"rope_scaling": {"rope_type": "linear", "factor": 0}}, "`factor`"),
    ({"rope_scaling": 3}, "`rope_scaling`"),
    ({"pe_config": "continuous"}, "`pe_config`"),
    ({"pe_config": {"dynamic_pe_mode": "continuous", "dynmaic_pe_layer_ids": "1,x"}}, "`dynmaic_pe_layer_ids`"),
    ({"attention_bias": True}, "`attention_bias`"),
    ({"num_key_value_heads": 3}, "num_key_value_heads"),
    ({"model_type": "gpt2"}, "model_type"),
])
def test_config(run, checkpoint, tmp_path, changes, part):
    edit_config(checkpoint, **changes)
    fails(run("repo-compile", f"--model={checkpoint}", "-o", tmp_path / "out"), 1, "config.json", part)
    assert not (tmp_path / "out").exists()


def test_weights(run, checkpoint, tmp_path):
    name = "model.layers.0.self_attn.q_proj.weight"
    out = tmp_path / "out"

    def attempt(*parts):
        fails(run("repo-compile", f"--model={checkpoint}", "-o", out), 1, *parts)
        assert not out.exists()

    edit_header(checkpoint, lambda h: h.update({name + "x": h.pop(name)}))
    attempt(name, "expected a weight of shape [64, 64], found none")
    edit_header(checkpoint, lambda h: h.update({name: {**h.pop(name + "x"), "shape": [32, 128]}}))
    attempt(name, "expected shape [64, 64], got [32, 128]")
    (checkpoint / "model.safetensors").write_bytes((MODEL / "model.safetensors").read_bytes()[:5000])
    attempt("model.safetensors", "bytes")


def test_tokens_and_folders(run, golden_model, checkpoint, tmp_path):
    out = golden_model(MODEL.name)
    fails(run("repo-run", f"--model={out}", f"--weights={checkpoint}", "--tokens=1,64", "--generate=1"),
          1, "token 1: expected 0 to 63, got 64")
    fails(run("repo-run", f"--model={out}", f"--weights={GOLDEN / 'tiny-nope'}", "--tokens=1",
              "--generate=1"), 1, "as the model was compiled")
    fails(run("repo-run", f"--model={tmp_path}", f"--weights={checkpoint}", "--tokens=1",
              "--generate=1"), 1, "manifest.json: No such file or directory")
    fails(run("repo-run", f"--model={out}", f"--weights={checkpoint}", f"--tokens=@{tmp_path / 'none'}",
              "--generate=1"), 1, "none: cannot read tokens")
    fails(run("repo-run", f"--model={out}", f"--weights={checkpoint}", "--tokens=1,2,3", "--generate=4", "--context=5",
              "--ignore-eos"), 1, "expected --context of at least 6 for 3 tokens and 4 more, got 5")
