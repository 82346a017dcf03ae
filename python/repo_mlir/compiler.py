"""The compiler's C library (include/repo-c/compiler.h) through ctypes."""

import ctypes
import threading

from .errors import RepoError
from .find import shared_library

_MESSAGE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p)
_TEXT = ctypes.c_char_p


class _Options(ctypes.Structure):
    _fields_ = [(name, _TEXT) for name in ("input", "source", "output", "cpu", "features", "emit", "stop_after",
                                           "pipeline")] + [("is_model", ctypes.c_int32), ("report", ctypes.c_int32)]


_lock = threading.Lock()
_library = None


def _load():
    global _library
    if _library is None:
        library = ctypes.CDLL(shared_library("repo_compiler"))
        library.repo_compiler_version.restype = _TEXT
        library.repo_compiler_features.argtypes = [_TEXT, _TEXT, _MESSAGE, ctypes.c_void_p,
                                                   ctypes.POINTER(ctypes.c_void_p)]
        library.repo_compiler_opt.argtypes = [_TEXT, _TEXT, _MESSAGE, ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p)]
        library.repo_compiler_compile.argtypes = [ctypes.POINTER(_Options), _MESSAGE, ctypes.c_void_p]
        library.repo_compiler_free.argtypes = [ctypes.c_void_p]
        _library = library
    return _library


def _call(function, *arguments):
    """Calls with a callback that gathers messages; raises them on failure."""
    lines = []
    callback = _MESSAGE(lambda user, line: lines.append(line.decode()))
    with _lock:  # the linker inside keeps global state while it runs
        status = function(*arguments, callback, None)
    if status:
        raise RepoError("\n".join(lines) or "the compiler failed")
    return lines


def _take(pointer):
    text = ctypes.string_at(pointer.value).decode()
    _load().repo_compiler_free(pointer)
    return text


def version():
    with _lock:
        return _load().repo_compiler_version().decode()


def _with_result(name, *arguments):
    with _lock:
        library = _load()
    lines = []
    callback = _MESSAGE(lambda user, line: lines.append(line.decode()))
    result = ctypes.c_void_p()
    with _lock:
        status = getattr(library, name)(*arguments, callback, None, ctypes.byref(result))
    if status:
        raise RepoError("\n".join(lines) or "the compiler failed")
    return _take(result)


def features(cpu="native", extra=""):
    """The CPU features that the code for `cpu` uses, as one string."""
    return _with_result("repo_compiler_features", cpu.encode(), extra.encode())


def run_pipeline(source, pipeline):
    return _with_result("repo_compiler_opt", source.encode(), pipeline.encode())


def compile_to(output, *, input=None, source=None, cpu="native", pipeline="cpu", is_model=False):
    """Compiles a file, a text or a model directory to a library (and what goes with it)."""
    with _lock:
        library = _load()
    encode = lambda text: None if text is None else str(text).encode()  # noqa: E731
    options = _Options(encode(input), encode(source), encode(output), encode(cpu), None, b"so", None,
                       encode(pipeline), int(is_model), 0)
    _call(library.repo_compiler_compile, ctypes.byref(options))
