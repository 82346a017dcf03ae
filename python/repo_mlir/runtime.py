"""The C runtime (include/repo/Runtime/runtime.h) through ctypes."""

import ctypes
import numbers
import threading

from .errors import RepoError
from .find import shared_library


class DLDevice(ctypes.Structure):
    _fields_ = [("device_type", ctypes.c_int32), ("device_id", ctypes.c_int32)]


class DLDataType(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16)]


class DLTensor(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("device", DLDevice), ("ndim", ctypes.c_int32), ("dtype", DLDataType),
                ("shape", ctypes.POINTER(ctypes.c_int64)), ("strides", ctypes.POINTER(ctypes.c_int64)),
                ("byte_offset", ctypes.c_uint64)]


class Sampling(ctypes.Structure):
    _fields_ = [("temperature", ctypes.c_float), ("top_k", ctypes.c_int32), ("top_p", ctypes.c_float),
                ("seed", ctypes.c_uint64)]


class ModelInfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int64)
                for name in ("layers", "heads", "kv_heads", "head_size", "vocabulary", "max_positions", "page_size",
                             "cache_bits")]


PROGRESS = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_double)


class ModelOptions(ctypes.Structure):
    _fields_ = [("progress", PROGRESS), ("user", ctypes.c_void_p), ("device", ctypes.c_int32)]


_lock = threading.Lock()
_library = None
_threads = 0  # 0: the default of the runtime
_local = threading.local()

_POINTER, _I32, _I64, _TEXT = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64, ctypes.c_char_p
_I32S, _FLOATS = ctypes.POINTER(ctypes.c_int32), ctypes.POINTER(ctypes.c_float)
_SIGNATURES = {
    "repo_rt_context_create": (_POINTER, []),
    "repo_rt_context_destroy": (None, [_POINTER]),
    "repo_rt_set_num_threads": (_I32, [_POINTER, _I32]),
    "repo_rt_last_error": (_TEXT, [_POINTER]),
    "repo_rt_library_open": (_I32, [_POINTER, _TEXT, ctypes.POINTER(_POINTER)]),
    "repo_rt_library_close": (None, [_POINTER]),
    "repo_rt_library_manifest": (_TEXT, [_POINTER]),
    "repo_rt_library_entry": (_I32, [_POINTER, _POINTER, _TEXT, ctypes.POINTER(_POINTER)]),
    "repo_rt_model_open": (_I32, [_POINTER, _TEXT, _TEXT, ctypes.POINTER(_POINTER)]),
    "repo_rt_model_open_with": (_I32, [_POINTER, _TEXT, _TEXT, ctypes.POINTER(ModelOptions),
                                       ctypes.POINTER(_POINTER)]),
    "repo_rt_model_pack": (_I32, [_POINTER, _TEXT, _TEXT, ctypes.POINTER(ModelOptions)]),
    "repo_rt_model_close": (None, [_POINTER]),
    "repo_rt_model_get_info": (ModelInfo, [_POINTER]),
    "repo_rt_model_end_tokens": (_I64, [_POINTER, ctypes.POINTER(_I32S)]),
    "repo_rt_model_evaluate": (_I32, [_POINTER, _POINTER, _POINTER, _I64, _I64, _POINTER, _POINTER]),
    "repo_rt_session_create": (_I32, [_POINTER, _POINTER, _I64, ctypes.POINTER(_POINTER)]),
    "repo_rt_session_create_fixed": (_I32, [_POINTER, _POINTER, _I64, _I64, ctypes.POINTER(_POINTER)]),
    "repo_rt_session_create_paged": (_I32, [_POINTER, _POINTER, _I64, ctypes.POINTER(_POINTER)]),
    "repo_rt_pages_create": (_I32, [_POINTER, _POINTER, _I64, ctypes.POINTER(_POINTER)]),
    "repo_rt_pages_free": (None, [_POINTER]),
    "repo_rt_pages_count": (_I64, [_POINTER]),
    "repo_rt_pages_count_free": (_I64, [_POINTER]),
    "repo_rt_session_free": (None, [_POINTER]),
    "repo_rt_session_fork": (_I32, [_POINTER, _POINTER, ctypes.POINTER(_POINTER)]),
    "repo_rt_session_length": (_I64, [_POINTER]),
    "repo_rt_session_length_of": (_I64, [_POINTER, _I64]),
    "repo_rt_session_bytes": (_I64, [_POINTER]),
    "repo_rt_session_trim": (_I32, [_POINTER, _POINTER, _I64]),
    "repo_rt_session_append": (_I32, [_POINTER, _POINTER, _POINTER, _I64, _POINTER]),
    "repo_rt_session_append_ragged": (_I32, [_POINTER, _POINTER, _POINTER, _POINTER, _POINTER]),
    "repo_rt_sessions_append": (_I32, [_POINTER, ctypes.POINTER(_POINTER), _I64, _POINTER, _POINTER, _POINTER]),
    "repo_rt_session_evaluate": (_I32, [_POINTER, _POINTER, _POINTER, _I64, _POINTER, _POINTER]),
    "repo_rt_set_stream": (None, [_POINTER, _POINTER]),
    "repo_rt_sample": (_I32, [_POINTER, _I64, ctypes.POINTER(Sampling), ctypes.POINTER(ctypes.c_uint64)]),
}


def runtime():
    """The runtime library, loaded on first use."""
    global _library
    with _lock:
        if _library is None:
            library = ctypes.CDLL(shared_library("repo_rt"))
            for name, (result, arguments) in _SIGNATURES.items():
                function = getattr(library, name)
                function.restype, function.argtypes = result, arguments
            _library = library
    return _library


class _Context:
    """A context belongs to one thread; it goes with it."""

    def __init__(self):
        self.pointer = runtime().repo_rt_context_create()
        self.threads = 0
        if not self.pointer:
            raise RepoError("out of memory")

    def __del__(self):
        if getattr(self, "pointer", None) and _library is not None:
            _library.repo_rt_context_destroy(self.pointer)


def context(threads=None):
    """The context of the calling thread, with the number of threads that was asked for."""
    if not hasattr(_local, "context"):
        _local.context = _Context()
    mine = _local.context
    wanted = _threads if threads is None else threads
    if mine.threads != wanted:
        check(runtime().repo_rt_set_num_threads(mine.pointer, wanted), mine.pointer)
        mine.threads = wanted
    return mine.pointer


def check(status, pointer):
    """Raises the last error of a context unless `status` is 0."""
    if status:
        raise RepoError(runtime().repo_rt_last_error(pointer).decode(errors="replace"))


def set_num_threads(n):
    """Sets the number of threads of every kernel, the calling one included.

    Default: `REPO_NUM_THREADS`, else what affinity and the control group's CPU quota allow.
    """
    global _threads
    _threads = thread_count("set_num_threads", n)


def thread_count(where, n):
    """Checks a number of threads."""
    if isinstance(n, bool) or not isinstance(n, numbers.Integral) or not 1 <= n <= 4096:
        raise RepoError(f"{where}: expected a number of threads from 1 to 4096, got {n!r}")
    return int(n)
