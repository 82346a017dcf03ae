"""What every test file needs: where the build, the tools and the goldens are."""

import json
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("REPO_BUILD_DIR", ROOT / "build"))
GOLDEN = ROOT / "test" / "golden"
# Kernels of the tests stay out of the user's cache; they are keyed by the compiler's own file.
os.environ.setdefault("REPO_CACHE_DIR", str(BUILD / "python-cache"))
MODELS = sorted(p.name for p in GOLDEN.iterdir() if p.is_dir())


def pytest_configure(config):
    config.addinivalue_line("markers", "frameworks: needs PyTorch (make test-frameworks)")


@pytest.fixture(scope="session")
def run():
    """Runs a tool of the build; returns (exit status, standard output, standard error)."""

    def call(tool, *arguments, **options):
        done = subprocess.run([str(BUILD / "bin" / tool), *map(str, arguments)], capture_output=True,
                              text=True, timeout=300, **options)
        return done.returncode, done.stdout, done.stderr

    return call


def expectations(model):
    return json.loads((GOLDEN / model / "expect.json").read_text())
