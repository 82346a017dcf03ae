"""The installed package as others use it: an out-of-tree compiler, and a C program with a kernel."""

import os
import subprocess

import pytest

from conftest import BUILD, ROOT


def call(*command, **options):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=600, **options)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prefix")
    call("cmake", "--install", BUILD, "--prefix", folder)
    return folder


def test_out_of_tree_compiler(prefix, tmp_path):
    build = tmp_path / "build"
    call("cmake", "-G", "Ninja", "-S", ROOT / "examples/out-of-tree", "-B", build,
         f"-DCMAKE_PREFIX_PATH={prefix};/usr/lib/llvm-22", "-DCMAKE_C_COMPILER=clang-22",
         "-DCMAKE_CXX_COMPILER=clang++-22", "-DCMAKE_BUILD_TYPE=Release",
         "-DCMAKE_CXX_COMPILER_LAUNCHER=ccache", "-DCMAKE_EXE_LINKER_FLAGS=-fuse-ld=lld")
    call("cmake", "--build", build)
    source, library = ROOT / "test/Integration/CPU/attention-mha.mlir", tmp_path / "attention.so"
    assert call(build / "tiny-compiler", source, library) == "1 attention ops\n"
    golden = ROOT / "test/golden/attention-mha.safetensors"
    call(prefix / "bin/repo-run", library, "--entry=attention", f"--inputs={golden}", f"--expect={golden}",
         "--atol=3e-6", env={**os.environ, "LD_LIBRARY_PATH": str(prefix / "lib")})


def test_kernel_in_a_c_program(prefix, tmp_path):
    call(BUILD / "bin/repo-compile", ROOT / "test/Integration/CPU/attention-mha.mlir", "-o", tmp_path / "attention.so")
    call("cc", "-std=c99", "-Wall", "-Wextra", "-Werror", f"-I{prefix / 'include'}", f"-I{tmp_path}",
         ROOT / "examples/embed/main.c", tmp_path / "attention.so", f"-L{prefix / 'lib'}", "-lrepo_rt", "-lm",
         f"-Wl,-rpath,{prefix / 'lib'}:{tmp_path}", "-o", tmp_path / "main")
    lines = call(tmp_path / "main").splitlines()
    assert lines[0] == "out 7, lse 1.6094 (ln 5 = 1.6094)"
    assert lines[1].startswith("refused: attention: `q`: expected dimension 3 to be 128, got 127")


def test_compiler_in_a_c_program(prefix, tmp_path):
    call("cc", "-std=c99", "-Wall", "-Wextra", "-Werror", f"-I{prefix / 'include'}", ROOT / "examples/compile-in-c/main.c",
         f"-L{prefix / 'lib'}", "-lrepo_compiler", f"-Wl,-rpath,{prefix / 'lib'}", "-o", tmp_path / "main")
    lines = call(tmp_path / "main", ROOT / "test/Integration/CPU/attention-mha.mlir", tmp_path / "attention.so").splitlines()
    assert lines[0] == "canonical: no op is left"
    assert lines[1].startswith("message: source:1:") and lines[2].endswith("'no-such-pass' does not refer to a registered pass or pass pipeline")
    assert lines[3] == "fma: no"
    assert any("attention in blocks of" in line for line in lines[4:-2])
    assert lines[-2] == "message: cannot write `/dev/full`: No space left on device"
    assert lines[-1] == "message: expected emit to be mlir, llvm, asm, obj, so, ptx or cubin, got `elf`"
    assert (tmp_path / "attention.so").exists() and (tmp_path / "attention.h").exists()
