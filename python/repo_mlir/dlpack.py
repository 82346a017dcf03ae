"""Arrays of other libraries by DLPack, of all element types: NumPy's own import knows no bfloat16."""

import ctypes

import numpy as np

from .errors import RepoError
from .runtime import DLTensor

_NAMES = {(0, 8): "int8", (0, 16): "int16", (0, 32): "int32", (0, 64): "int64", (1, 8): "uint8", (2, 16): "float16",
          (2, 32): "float32", (2, 64): "float64", (4, 16): "bfloat16", (6, 8): "bool"}
_CPU_DEVICES = (1, 3, 11)  # the host's memory, CUDA's pinned, ROCm's pinned
_READ_ONLY = 1  # a flag


class _ManagedTensor(ctypes.Structure):
    _fields_ = [("tensor", DLTensor), ("context", ctypes.c_void_p), ("deleter", ctypes.c_void_p)]


class _ManagedTensorVersioned(ctypes.Structure):
    _fields_ = [("major", ctypes.c_uint32), ("minor", ctypes.c_uint32), ("context", ctypes.c_void_p),
                ("deleter", ctypes.c_void_p), ("flags", ctypes.c_uint64), ("tensor", DLTensor)]


_api = ctypes.pythonapi
_api.PyCapsule_GetPointer.restype = ctypes.c_void_p
_api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
_api.PyCapsule_IsValid.argtypes = [ctypes.py_object, ctypes.c_char_p]


class _Memory:
    """Memory at an address, as the array interface has it; keeps the capsule, which owns the memory."""

    def __init__(self, address, bytes_each, capsule):
        self.capsule = capsule
        self.__array_interface__ = {"data": (address, False), "shape": (1,), "typestr": f"|V{bytes_each}", "version": 3}


def view(value, name, numpy_dtype):
    """(a NumPy array with the memory of `value`, whether it may be written)."""
    if not hasattr(value, "__dlpack__") or not hasattr(value, "__dlpack_device__"):
        raise TypeError(f"`{name}`: expected an array, got {type(value).__name__}")
    device = int(value.__dlpack_device__()[0])
    if device not in _CPU_DEVICES:
        raise RepoError(f"`{name}`: expected an array on the CPU, got one on DLPack device type {device}")
    try:
        try:
            capsule = value.__dlpack__(max_version=(1, 0))
        except TypeError:  # older than versions
            capsule = value.__dlpack__()
    except Exception as error:  # whatever the other library raises
        raise RepoError(f"`{name}`: cannot export by DLPack: {error}") from None
    if _api.PyCapsule_IsValid(capsule, b"dltensor_versioned"):
        managed = _ManagedTensorVersioned.from_address(_api.PyCapsule_GetPointer(capsule, b"dltensor_versioned"))
        if managed.major != 1:
            raise RepoError(f"`{name}`: expected DLPack version 1, got {managed.major}")
        writable = not managed.flags & _READ_ONLY
    elif _api.PyCapsule_IsValid(capsule, b"dltensor"):
        managed = _ManagedTensor.from_address(_api.PyCapsule_GetPointer(capsule, b"dltensor"))
        writable = True
    else:
        raise RepoError(f"`{name}`: expected a DLPack capsule, got {capsule!r}")
    tensor = managed.tensor
    dtype = _NAMES.get((tensor.dtype.code, tensor.dtype.bits)) if tensor.dtype.lanes == 1 else None
    if dtype is None:
        raise RepoError(f"`{name}`: element type with DLPack code {tensor.dtype.code}, {tensor.dtype.bits} bits and "
                        f"{tensor.dtype.lanes} lanes is not supported")
    dtype = numpy_dtype(dtype)
    shape = tensor.shape[:tensor.ndim] if tensor.ndim else []
    if 0 in shape:
        return np.empty(shape, dtype), writable
    if tensor.ndim and not tensor.strides:
        strides = np.cumprod([1, *shape[:0:-1]])[::-1].tolist()
    else:
        strides = tensor.strides[:tensor.ndim] if tensor.ndim else []
    start = np.asarray(_Memory((tensor.data or 0) + tensor.byte_offset, dtype.itemsize, capsule)).view(dtype)
    return np.lib.stride_tricks.as_strided(start.reshape((1,) * tensor.ndim), shape,
                                           [stride * dtype.itemsize for stride in strides]), writable
