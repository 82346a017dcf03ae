"""Compiled kernels on disk.

A folder of libraries, `REPO_CACHE_DIR` or `~/.cache/repo_mlir`, private to the user. The key is a hash of
the IR, the expanded features of the target and the version of the compiler. Files are written under another
name and renamed, so that several processes can share the folder; each is checked against its recorded hash
before it is loaded. The oldest go when the folder grows past 1 GiB.
"""

import hashlib
import os
import pathlib
import tempfile

from . import compiler

MAX_BYTES = 1 << 30


def folder():
    path = os.environ.get("REPO_CACHE_DIR")
    if not path:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
        path = os.path.join(base, "repo_mlir")
    path = pathlib.Path(path)
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = path.stat()
    if status.st_uid != os.getuid() or status.st_mode & 0o022:
        # Somebody else could place code here: use a folder of this process instead.
        path = pathlib.Path(tempfile.mkdtemp(prefix="repo_mlir-"))
    return path


def _digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def compiled(source, cpu="native", pipeline="cpu"):
    """The path of the library compiled from this IR text."""
    key = hashlib.sha256("\0".join(
        (source, compiler.features(cpu), compiler.version(), pipeline)).encode()).hexdigest()[:40]
    home = folder()
    library, record = home / f"{key}.so", home / f"{key}.sha256"
    try:
        if record.read_text() == _digest(library):
            os.utime(library)
            return library
    except OSError:
        pass
    with tempfile.TemporaryDirectory(dir=home) as work:
        made = pathlib.Path(work) / "kernel.so"
        compiler.compile_to(made, input="source", source=source, cpu=cpu, pipeline=pipeline)
        text = pathlib.Path(work) / "kernel.sha256"
        text.write_text(_digest(made))
        os.replace(made, library)
        os.replace(text, record)
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
    except OSError:
        pass  # another process was faster
