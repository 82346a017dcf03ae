"""What repo-compile writes: the same bytes every time, sanitized where asked; and what the runtime refuses."""

import re
import struct
import subprocess

import numpy as np
import pytest

import repo_mlir as repo
from conftest import BUILD, GOLDEN, ROOT

ATTENTION = ROOT / "test" / "Integration" / "CPU" / "attention-mha.mlir"
KERNEL = "func.func @f(%x: tensor<?x4xf32>) -> tensor<?x4xf32> { return %x : tensor<?x4xf32> }"


@pytest.mark.parametrize("emit", ["llvm", "obj", "so"])
def test_same_input_same_bytes(run, tmp_path, emit):
    made = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / f"library-{folder}"
        status, _, error = run("repo-compile", ATTENTION, "-o", path, f"--emit={emit}", cwd=tmp_path / folder)
        assert status == 0, error
        made.append([file.read_bytes() for file in sorted((tmp_path / folder).iterdir())])
    assert made[0] == made[1]


def test_python_compiles_models_to_the_same_bytes(golden_model, tmp_path):
    repo.compile_model(GOLDEN / "tiny-continuous", tmp_path / "other")
    for name in ("model.so", "model.h", "manifest.json"):
        assert (tmp_path / "other" / name).read_bytes() == (golden_model("tiny-continuous") / name).read_bytes(), name


def test_runtime_is_small_and_has_no_llvm(tmp_path):
    library = (BUILD / "lib" / "librepo_rt.so").resolve()
    stripped = tmp_path / "librepo_rt.so"
    subprocess.run(["strip", "-o", stripped, library], check=True)
    assert library.stat().st_size < 1 << 20 and stripped.stat().st_size < 1 << 20
    needed = subprocess.run(["readelf", "-d", library], capture_output=True, text=True, check=True).stdout
    names = re.findall(r"\(NEEDED\).*\[(.*)\]", needed)
    assert "libc.so.6" in names and not [name for name in names if re.search("LLVM|MLIR|clang", name)]
    symbols = subprocess.run(["nm", "-DC", library], capture_output=True, text=True, check=True).stdout
    assert "repo_rt_library_open" in symbols and not re.search("llvm::|mlir::", symbols)


@pytest.fixture
def kernel(run, tmp_path):
    """A library that copies its input, and the input; flags may be added."""
    from safetensors.numpy import save_file
    (tmp_path / "f.mlir").write_text(KERNEL)
    save_file({"arg0": np.ones((2, 4), np.float32)}, tmp_path / "in")

    def compiled(*flags):
        status, _, error = run("repo-compile", tmp_path / "f.mlir", "-o", tmp_path / "f.so", *flags)
        assert status == 0, error
        return tmp_path / "f.so", f"--inputs={tmp_path / 'in'}"

    return compiled


def test_missing_features_are_refused(run, kernel):
    flags = set((open("/proc/cpuinfo").read().split("flags", 1)[1].split("\n", 1)[0]).split())
    missing = [name for name in ("amx-fp16", "avx512fp16", "amx-bf16") if name.replace("-", "_") not in flags]
    if not missing:
        pytest.skip("this host has every feature")
    library, inputs = kernel(f"--features=+{missing[0]}")
    for how in (["--entry=f", inputs], ["--list"]):
        status, out, error = run("repo-run", library, *how)
        assert (status, out) == (1, "") and error.count("\n") == 1
        assert re.search(rf"f\.so: the code needs CPU features this host lacks: .*\b{missing[0]}\b", error)


def test_another_version_of_the_interface_is_refused(run, kernel):
    library, inputs = kernel()
    data = bytearray(library.read_bytes())
    # The record begins with its magic number and the version (include/repo/Runtime/runtime.h).
    version = int(re.search(r"REPO_RT_ABI_VERSION\s+(\d+)",
                            (ROOT / "include/repo/Runtime/runtime.h").read_text())[1])
    record = b"REPOLIB1" + struct.pack("<i", version)
    assert data.count(record) == 1
    at = data.index(record)
    data[at:at + len(record)] = record[:-4] + struct.pack("<i", version + 1)
    library.write_bytes(data)
    status, out, error = run("repo-run", library, "--entry=f", inputs)
    assert (status, out) == (1, "")
    assert error == f"repo-run: {library}: expected version {version} of the interface, got {version + 1}\n"


HOST = """
#include "attention.h"
#include <stdio.h>
#include <stdlib.h>
enum { HEADS = 3, TOKENS = 100, SIZE = 128 };
static DLTensor tensor(float *data, int32_t rank, int64_t *shape) {
  DLTensor t = {0};
  t.data = data; t.device.device_type = 1; t.ndim = rank; t.shape = shape;
  t.dtype.code = 2; t.dtype.bits = 32; t.dtype.lanes = 1;
  return t;
}
int main(int argc, char **argv) {
  size_t count = HEADS * TOKENS * SIZE, few = argc > 1 ? 40 : 0;
  int64_t rows[] = {1, HEADS, TOKENS, SIZE}, positions[] = {1, HEADS, TOKENS};
  float *q = calloc(count, 4), *v = calloc(count - few, 4), *z = calloc(HEADS * TOKENS, 4),
        *out = calloc(count, 4), *lse = calloc(HEADS * TOKENS, 4);
  DLTensor tq = tensor(q, 4, rows), tv = tensor(v, 4, rows), tz = tensor(z, 3, positions),
           to = tensor(out, 4, rows), tl = tensor(lse, 3, positions);
  repo_rt_context *context = repo_rt_context_create();
  repo_rt_set_num_threads(context, 2);
  int status = 0;
  for (int i = 0; i < 3; ++i)
    status |= attention_call(context, &tq, &tq, &tv, &tz, &tz, &to, &tl);
  if (status) fprintf(stderr, "%s\\n", repo_rt_last_error(context));
  repo_rt_context_destroy(context);
  free(q); free(v); free(z); free(out); free(lse);
  puts("done");
  return status;
}
"""


def sanitized(run, folder, kind):
    """A program with an instrumented kernel; runs it."""
    status, _, error = run("repo-compile", ATTENTION, "-o", folder / "attention.so", f"--sanitize={kind}")
    assert status == 0, error
    (folder / "main.c").write_text(HOST)
    subprocess.run(["clang-22", "-g", f"-fsanitize={kind}", f"-I{folder}", f"-I{ROOT / 'include'}", folder / "main.c",
                    folder / "attention.so", f"-L{BUILD / 'lib'}", "-lrepo_rt",
                    f"-Wl,-rpath,{folder}:{BUILD / 'lib'}", "-o", folder / "main"], check=True)

    def call(*arguments):
        done = subprocess.run([folder / "main", *arguments], capture_output=True, text=True, timeout=120)
        return done.returncode, done.stdout, done.stderr

    return call


def test_address_sanitizer(run, tmp_path):
    call = sanitized(run, tmp_path, "address")
    assert call() == (0, "done\n", "")
    # The caller says more values than it has: the kernel reads past them, and is seen to.
    status, _, error = call("short")
    assert status != 0 and "heap-buffer-overflow" in error


def test_thread_sanitizer(run, tmp_path):
    """The pool is not instrumented; the runtime tells the sanitizer of the hand-over."""
    call = sanitized(run, tmp_path, "thread")
    if "unexpected memory mapping" in call()[2]:
        pytest.skip("ThreadSanitizer does not run on this kernel")
    assert call() == (0, "done\n", "")


def test_bound_calls():
    """A bound call reads and writes the arrays it was given, whatever is in them by then."""
    entry = repo.compile("func.func @twice(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {\n"
                         "  %y = arith.addf %x, %x : tensor<?x4xf32>\n  return %y : tensor<?x4xf32>\n}\n")["twice"]
    x, out = np.ones((3, 4), np.float32), np.zeros((3, 4), np.float32)
    call = entry.bind(x, out=out)
    assert not out.any()
    for value in (1, 5):
        x[:] = value
        call()
        assert (out == 2 * value).all()
    with pytest.raises(TypeError, match="expected 1 inputs, got 2"):
        entry.bind(x, x, out=out)
    entry.bind(x, out=np.zeros((2, 4), np.float32))  # sizes are compared when it is called
    with pytest.raises(repo.RepoError, match="result0"):
        entry.bind(x, out=np.zeros((2, 4), np.float32))()
