"""What every test file needs: where the build, the tools and the goldens are."""

import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("REPO_BUILD_DIR", ROOT / "build"))
GOLDEN = ROOT / "test" / "golden"
# Kernels of the tests stay out of the user's cache; they are keyed by the compiler's own file.
os.environ.setdefault("REPO_CACHE_DIR", str(BUILD / "python-cache"))
# Tests run side by side, one thread each; those about threads ask for more. Threads of numpy's BLAS wait actively.
os.environ.setdefault("REPO_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
MODELS = sorted(p.name for p in GOLDEN.iterdir() if p.is_dir())


def pytest_configure(config):
    config.addinivalue_line("markers", "frameworks: needs PyTorch (make test-frameworks)")
    config.addinivalue_line("markers", "cuda: needs a CUDA device (make check-cuda)")
    config.addinivalue_line("markers", "xdist_group: tests that run in one process, with pytest-xdist")


def pytest_terminal_summary(terminalreporter, config):
    """Which levels of CPUs the tests ran on hardware."""
    if hasattr(config, "workerinput"):
        return
    import levels
    terminalreporter.section("CPU levels")
    for line in levels.summary():
        terminalreporter.line(line)


@pytest.fixture(autouse=True)
def order_of_the_emulator():
    """A test that asks for another order does so for itself alone."""
    before = os.environ.get("REPO_EMULATOR_ORDER")
    yield
    if before is None:
        os.environ.pop("REPO_EMULATOR_ORDER", None)
    else:
        os.environ["REPO_EMULATOR_ORDER"] = before


@pytest.fixture(scope="session")
def run():
    """Runs a tool of the build; returns (exit status, standard output, standard error)."""

    def call(tool, *arguments, **options):
        done = subprocess.run([str(BUILD / "bin" / tool), *map(str, arguments)], capture_output=True,
                              text=True, timeout=300, **options)
        return done.returncode, done.stdout, done.stderr

    return call


@pytest.fixture(scope="session")
def golden_model(run):
    """The folder of a golden model that repo-compile has compiled, with these flags: once, for all tests and the processes they run in."""

    def compiled(name, *flags):
        key = hashlib.sha256((BUILD / "bin" / "repo-compile").read_bytes()).hexdigest()[:16]
        home = pathlib.Path(os.environ["REPO_CACHE_DIR"]) / "models" / key
        made = home / "".join((name, *flags))
        if not made.exists():
            home.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=home) as work:
                status, _, error = run("repo-compile", f"--model={GOLDEN / name}", "-o", f"{work}/model",
                                       *flags)
                assert status == 0, error
                try:
                    os.rename(f"{work}/model", made)
                except OSError:  # another process was faster
                    assert made.exists()
            for old in home.parent.iterdir():  # of compilers that are no more
                if old != home:
                    shutil.rmtree(old, ignore_errors=True)
        return made

    return compiled


def expectations(model):
    return json.loads((GOLDEN / model / "expect.json").read_text())
