"""Compiled kernels on disk: shared, checked, bounded, private."""

import os
import subprocess
import sys
import threading

import pytest

import repo_mlir as repo
from repo_mlir import cache, compiler

SOURCE = "func.func @f(%x: tensor<?xf32>) -> tensor<?xf32> {{\n  // {}\n  return %x : tensor<?xf32>\n}}\n"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("REPO_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def kernels(home):
    return sorted(path.name for path in home.glob("*.so"))


def test_compiles_once(home, monkeypatch):
    first = cache.compiled(SOURCE.format(1))
    monkeypatch.setattr(compiler, "compile_to", lambda *a, **k: pytest.fail("compiled again"))
    assert cache.compiled(SOURCE.format(1)) == first
    assert home.stat().st_mode & 0o777 == 0o700
    assert {path.suffix for path in home.iterdir()} == {".so", ".sha256"}


def test_key(home, monkeypatch):
    keys = {cache._key(SOURCE, "native", "cpu"), cache._key(SOURCE + " ", "native", "cpu"),
            cache._key(SOURCE, "x86-64-v3", "cpu"), cache._key(SOURCE, "native", "reference")}
    monkeypatch.setattr(compiler, "fingerprint", lambda: "another build")
    keys.add(cache._key(SOURCE, "native", "cpu"))
    assert len(keys) == 5


@pytest.mark.parametrize("damage", [
    lambda path: path.write_bytes(path.read_bytes()[:-100]),
    lambda path: path.with_suffix(".sha256").unlink(),
    lambda path: path.unlink(),
])
def test_damaged_files_are_replaced(home, damage):
    path = cache.compiled(SOURCE.format(2))
    whole = path.read_bytes()
    damage(path)
    assert cache.compiled(SOURCE.format(2)) == path
    assert path.read_bytes() == whole


def test_bounded(home, monkeypatch):
    one = cache.compiled(SOURCE.format("a"))
    os.utime(one, (1, 1))
    two = cache.compiled(SOURCE.format("b"))
    monkeypatch.setattr(cache, "MAX_BYTES", two.stat().st_size * 5 // 2)
    os.utime(two, (2, 2))
    cache.compiled(SOURCE.format("a"))  # used last
    three = cache.compiled(SOURCE.format("c"))
    assert kernels(home) == sorted((one.name, three.name))
    assert not two.with_suffix(".sha256").exists()


def test_leftovers_go(home):
    cache.compiled(SOURCE.format("a"))
    (home / "tmp-killed").mkdir()
    os.utime(home / "tmp-killed", (1, 1))
    (home / "tmp-running").mkdir()
    cache.compiled(SOURCE.format("b"))
    assert [path.name for path in home.glob("tmp-*")] == ["tmp-running"]


def test_failure_leaves_nothing(home):
    with pytest.raises(repo.RepoError):
        cache.compiled("func.func @f(")
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("mode", [0o777, 0o770])
def test_a_folder_others_can_write_to_is_not_used(home, mode):
    home.mkdir()
    home.chmod(mode)
    path = cache.compiled(SOURCE.format(3))
    assert path.parent != home and path.parent.stat().st_mode & 0o777 == 0o700
    assert cache.compiled(SOURCE.format(3)) == path
    assert list(home.iterdir()) == []


def test_no_folder(monkeypatch):
    monkeypatch.setenv("REPO_CACHE_DIR", "/dev/null/cache")
    assert cache.compiled(SOURCE.format(4)).exists()


def test_threads(home):
    paths = []
    threads = [threading.Thread(target=lambda: paths.append(cache.compiled(SOURCE.format(5)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(paths) == 4 and len(set(paths)) == 1


def test_processes(home):
    program = ("import numpy as np, repo_mlir as repo, sys\n"
               "for i in range(3):\n"
               f"    f = repo.compile({SOURCE!r}.format(i))['f']\n"
               "    assert f(np.ones(3, np.float32)).sum() == 3\n")
    running = [subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE) for _ in range(3)]
    for process in running:
        error = process.communicate(timeout=120)[1]
        assert process.returncode == 0, error.decode()
    assert len(kernels(home)) == 3
