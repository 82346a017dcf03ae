"""The package as it is installed: it carries the libraries and needs neither source tree nor build folder."""

import os
import shutil
import subprocess
import sys

import pytest

from conftest import BUILD, ROOT

pytest.importorskip("setuptools")


def test_carries_the_libraries(tmp_path):
    shutil.copytree(ROOT / "python", tmp_path / "source", ignore=shutil.ignore_patterns("tests", "__pycache__"))
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "REPO_BUILD_DIR")}
    subprocess.run([sys.executable, "setup.py", "-q", "build_py", "--build-lib", tmp_path / "site"], check=True,
                   cwd=tmp_path / "source", env={**environment, "REPO_BUILD_DIR": str(BUILD)}, capture_output=True)
    program = ("import repo_mlir as repo, repo_mlir.find as find\n"
               "print(find.shared_library('repo_rt'))\n"
               "print(repo.opt('module {}', 'cse'))\n")
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, text=True, capture_output=True,
                          env={**environment, "PYTHONPATH": str(tmp_path / "site")})
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n", 1) == [str(tmp_path / "site/repo_mlir/lib/librepo_rt.so"), "module {\n}\n\n"]


def test_says_where_it_looked(tmp_path):
    shutil.copytree(ROOT / "python" / "repo_mlir", tmp_path / "repo_mlir", ignore=shutil.ignore_patterns("__pycache__"))
    done = subprocess.run([sys.executable, "-c", "import repo_mlir as repo\n"
                           "try: repo.opt('module {}', 'cse')\n"
                           "except repo.RepoError as error: print(error)"], cwd=tmp_path, text=True,
                          capture_output=True, env={**os.environ, "PYTHONPATH": str(tmp_path),
                                                    "REPO_BUILD_DIR": str(tmp_path / "none")})
    assert f"expected librepo_compiler.so in {tmp_path}/none/lib" in done.stdout
    assert "build the project or set REPO_BUILD_DIR" in done.stdout
