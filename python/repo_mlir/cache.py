"""Compiled kernels on disk.

A folder of libraries, `REPO_CACHE_DIR` or `~/.cache/repo_mlir`, private to the user; where there is none that
nobody else can write to, a folder of this process. The key is a hash of the IR, the expanded features of the
target and the compiler, version and file. Files are written under another name and renamed, so that several
processes can share the folder; each is checked against its recorded hash before it is loaded. The ones unused for
longest go when the folder grows past MAX_BYTES.
"""

import atexit
import functools
import hashlib
import os
import pathlib
import shutil
import tempfile
import time

from . import compiler
from .errors import RepoError

MAX_BYTES = 1 << 30
STALE_SECONDS = 3600  # what a process that was killed left behind


@functools.lru_cache(maxsize=None)
def _own_folder():
    path = tempfile.mkdtemp(prefix="repo_mlir-")
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return pathlib.Path(path)


def folder():
    """Where the kernels are."""
    path = os.environ.get("REPO_CACHE_DIR")
    if not path:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
        path = os.path.join(base, "repo_mlir")
    path = pathlib.Path(path)
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = path.stat()
    except OSError:
        return _own_folder()
    # Where somebody else can write, somebody else can place code.
    if status.st_uid != os.getuid() or status.st_mode & 0o022 or not os.access(path, os.W_OK | os.X_OK):
        return _own_folder()
    return path


def _digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _key(source, cpu, pipeline):
    # Field lengths keep ("ab", "c") and ("a", "bc") apart.
    parts = (source, compiler.features(cpu), compiler.version(), compiler.fingerprint(), pipeline)
    return hashlib.sha256("".join(f"{len(part)}:{part}" for part in parts).encode()).hexdigest()[:40]


def compiled(source, cpu="native", pipeline="cpu", name="source", target="cpu", chip=None):
    """The path of the library compiled from this IR text; `name` is what diagnostics call it."""
    home = folder()
    key = _key(source, cpu, pipeline if target == "cpu" else f"{target} {chip}")
    library, record = home / f"{key}.so", home / f"{key}.sha256"
    try:
        if record.read_text() == _digest(library):
            os.utime(library)
            return library
    except OSError:
        pass
    try:
        with tempfile.TemporaryDirectory(prefix="tmp-", dir=home) as work:
            made = pathlib.Path(work) / "kernel.so"
            compiler.compile_to(made, input=name, source=source, cpu=cpu, pipeline=pipeline, target=target, chip=chip)
            text = pathlib.Path(work) / "kernel.sha256"
            text.write_text(_digest(made))
            os.replace(made, library)
            os.replace(text, record)
    except OSError as error:
        raise RepoError(f"cannot write the cache `{home}`: {error.strerror}") from None
    _bound(home, keep=library)
    return library


def _bound(home, keep):
    try:
        files = sorted(home.glob("*.so"), key=lambda path: path.stat().st_mtime)
        total = sum(path.stat().st_size for path in files)
        for path in files:
            if total <= MAX_BYTES:
                break
            if path != keep:
                total -= path.stat().st_size
                path.unlink()
                path.with_suffix(".sha256").unlink(missing_ok=True)
        for path in home.glob("tmp-*"):
            if time.time() - path.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(path, ignore_errors=True)
    except OSError:
        pass  # another process was faster
