"""The compiler's C library (include/repo-c/compiler.h) through ctypes."""

import ctypes
import functools
import hashlib
import os
import pathlib
import threading

from .errors import RepoError
from .find import ptxas, shared_library

_MESSAGE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p)
_TEXT = ctypes.c_char_p


class _Options(ctypes.Structure):
    _fields_ = [(name, _TEXT) for name in ("input", "source", "output", "cpu", "features", "emit", "stop_after",
                                           "pipeline")] + [("is_model", ctypes.c_int32), ("report", ctypes.c_int32),
                                                           ("target", _TEXT), ("chip", _TEXT), ("dtype", _TEXT),
                                                           ("cache_dtype", _TEXT)]


_lock = threading.Lock()  # the linker inside keeps global state while it runs


@functools.lru_cache(maxsize=None)
def _load():
    library = ctypes.CDLL(shared_library("repo_compiler"))
    library.repo_compiler_version.restype = _TEXT
    library.repo_compiler_features.argtypes = [_TEXT, _TEXT, _MESSAGE, ctypes.c_void_p,
                                               ctypes.POINTER(ctypes.c_void_p)]
    library.repo_compiler_opt.argtypes = [_TEXT, _TEXT, _MESSAGE, ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p)]
    library.repo_compiler_compile.argtypes = [ctypes.POINTER(_Options), _MESSAGE, ctypes.c_void_p]
    library.repo_compiler_free.argtypes = [ctypes.c_void_p]
    return library


def _bytes(what, text):
    """A C string of text or a path."""
    if text is None:
        return None
    if isinstance(text, os.PathLike):
        text = os.fsencode(text)
    elif isinstance(text, str):
        try:
            text = text.encode()
        except UnicodeEncodeError:
            raise RepoError(f"expected {what} to be valid Unicode") from None
    else:
        raise TypeError(f"expected {what} to be a string, got {type(text).__name__}")
    if b"\0" in text:
        raise RepoError(f"expected {what} without NUL, found one at byte {text.index(0)}")
    return text


def _call(function, *before, result=()):
    """Calls with a callback that gathers messages; raises them on failure."""
    lines = []
    callback = _MESSAGE(lambda user, line: lines.append(line.decode(errors="replace")))
    with _lock:
        status = function(*before, callback, None, *result)
    if status:
        raise RepoError("\n".join(lines) or "the compiler failed")


def _text(function, *before):
    """The text that a function of the library returns."""
    text = ctypes.c_void_p()
    _call(function, *before, result=(ctypes.byref(text),))
    if not text.value:
        raise RepoError("out of memory")
    try:
        return ctypes.string_at(text.value).decode(errors="replace")
    finally:
        _load().repo_compiler_free(text)


def version():
    """The version of the compiler."""
    return _load().repo_compiler_version().decode()


@functools.lru_cache(maxsize=None)
def fingerprint():
    """A hash of the compiler's own file: a rebuilt compiler of the same version is another one."""
    return hashlib.sha256(pathlib.Path(shared_library("repo_compiler")).read_bytes()).hexdigest()


@functools.lru_cache(maxsize=64)
def features(cpu="native", extra=""):
    """The CPU features that the code for `cpu` uses, as one string."""
    return _text(_load().repo_compiler_features, _bytes("cpu", cpu), _bytes("features", extra))


def run_pipeline(source, pipeline):
    """The text of a module after a pass pipeline."""
    return _text(_load().repo_compiler_opt, _bytes("source", source), _bytes("pipeline", pipeline))


def compile_to(output, *, input=None, source=None, cpu="native", pipeline="cpu", is_model=False, target="cpu",
               chip=None, dtype=None, cache_dtype=None):
    """Compiles a file, a text or a model directory to a library (and what goes with it)."""
    if target == "cuda" and ptxas():
        os.environ["REPO_PTXAS"] = ptxas()  # the compiler itself knows of no Python packages
    options = _Options(_bytes("input", input), _bytes("source", source), _bytes("output", output), _bytes("cpu", cpu),
                       None, b"so", None, _bytes("pipeline", pipeline), int(is_model), 0, _bytes("target", target),
                       _bytes("chip", chip), _bytes("dtype", dtype), _bytes("cache_dtype", cache_dtype))
    _call(_load().repo_compiler_compile, ctypes.byref(options))
