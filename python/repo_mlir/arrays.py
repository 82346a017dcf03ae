"""Arrays of any library as DLTensors, and new arrays of the same library.

NumPy's bfloat16 (ml_dtypes) exports neither DLPack nor the buffer protocol, so NumPy arrays are passed by
address. torch tensors are detached. Anything else goes through DLPack to NumPy, which shares its memory.
"""

import ctypes
import sys

import numpy as np

from .errors import RepoError
from .runtime import DLDataType, DLDevice, DLTensor

# name -> (DLPack code, bits)
_TYPES = {"float64": (2, 64), "float32": (2, 32), "float16": (2, 16), "bfloat16": (4, 16), "int64": (0, 64),
          "int32": (0, 32), "int16": (0, 16), "int8": (0, 8), "uint8": (1, 8), "bool": (6, 8)}
_SHORT = {"float64": "f64", "float32": "f32", "float16": "f16", "bfloat16": "bf16", "int64": "i64", "int32": "i32",
          "int16": "i16", "int8": "i8", "uint8": "ui8", "bool": "i1"}
_LONG = {**{short: long for long, short in _SHORT.items()}, "bool": "bool"}


def _torch():
    return sys.modules.get("torch")


class Array:
    """A view of somebody's array: `kind` is "numpy", "torch" or "jax"; strides count elements."""

    def __init__(self, kind, owner, address, dtype, shape, strides, writable):
        self.kind, self.owner, self.address, self.dtype = kind, owner, address, dtype
        self.shape, self.strides, self.writable = tuple(shape), tuple(strides), writable

    @property
    def short_dtype(self):
        """The name of the element type in IR: f32, bf16, ..."""
        return _SHORT[self.dtype]

    def passable(self, output=False):
        """Whether the strides are as an entry wants them."""
        if 0 in self.shape:
            return True
        for position, (size, stride) in enumerate(zip(self.shape, self.strides)):
            if size > 1 and (stride < 0 or (position == len(self.shape) - 1 and stride != 1)
                             or (output and stride == 0)):
                return False
        return True

    def dltensor(self):
        """(DLTensor, what must stay alive while it is used)."""
        rank = len(self.shape)
        shape = (ctypes.c_int64 * max(rank, 1))(*self.shape)
        strides = (ctypes.c_int64 * max(rank, 1))(*self.strides)
        code, bits = _TYPES[self.dtype]
        tensor = DLTensor(ctypes.c_void_p(self.address), DLDevice(1, 0), rank, DLDataType(code, bits, 1),
                          ctypes.cast(shape, ctypes.POINTER(ctypes.c_int64)),
                          ctypes.cast(strides, ctypes.POINTER(ctypes.c_int64)), 0)
        return tensor, (self.owner, shape, strides)


def wrap(value, name):
    """Views an array; `name` is for errors."""
    torch = _torch()
    if torch is not None and isinstance(value, torch.Tensor):
        value = value.detach()
        if value.device.type != "cpu":
            raise RepoError(f"`{name}`: expected a tensor on the CPU, got one on {value.device}")
        if value.layout != torch.strided or value.is_conj() or value.is_neg():
            value = value.to_dense().resolve_conj().resolve_neg()
        dtype = str(value.dtype).rpartition(".")[2]
        _check_dtype(dtype, name)
        return Array("torch", value, value.data_ptr(), dtype, value.shape, value.stride(), True)
    kind = "numpy"
    if not isinstance(value, np.ndarray):
        if isinstance(value, np.generic) or isinstance(value, (int, float, list, tuple)):
            raise TypeError(f"`{name}`: expected an array, got {type(value).__name__}")
        kind, value = _import(value, name)
    dtype = value.dtype.name
    _check_dtype(dtype, name)
    if not value.dtype.isnative:
        raise RepoError(f"`{name}`: expected native byte order")
    if any(stride % value.itemsize for stride in value.strides):
        value = np.ascontiguousarray(value)
    return Array(kind, value, value.ctypes.data, dtype, value.shape,
                 [stride // value.itemsize for stride in value.strides], value.flags.writeable)


def _import(value, name):
    kind = "jax" if type(value).__module__.split(".")[0] in ("jax", "jaxlib") else "numpy"
    if kind == "jax":
        return kind, np.asarray(value)
    if not hasattr(value, "__dlpack__"):
        raise TypeError(f"`{name}`: expected an array, got {type(value).__name__}")
    try:
        return kind, np.from_dlpack(value)
    except (BufferError, RuntimeError, TypeError) as error:
        raise RepoError(f"`{name}`: cannot import by DLPack: {error}") from None


def _check_dtype(dtype, name):
    if dtype not in _TYPES:
        raise RepoError(f"`{name}`: element type {dtype} is not supported")


def contiguous(array):
    """A row-major copy."""
    if array.kind == "torch":
        return wrap(array.owner.contiguous().clone(), "copy")
    copy = Array(array.kind, None, 0, array.dtype, array.shape, array.strides, True)
    data = np.array(array.owner, order="C", copy=True)
    copy.owner, copy.address = data, data.ctypes.data
    copy.strides = [stride // data.itemsize for stride in data.strides]
    return copy


def convert(array, dtype):
    """A copy with another element type."""
    if array.kind == "torch":
        torch = _torch()
        return wrap(array.owner.to(getattr(torch, dtype)).contiguous(), "copy")
    return wrap(np.ascontiguousarray(array.owner.astype(numpy_dtype(dtype))), "copy")


def numpy_dtype(name):
    if name == "bfloat16":
        import ml_dtypes
        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name)


def long_dtype(short):
    """float32 for f32."""
    return _LONG[short]


def empty(kind, shape, dtype):
    """A new array of the library `kind`: `Array` whose owner the caller gets by `export`."""
    if kind == "torch":
        torch = _torch()
        return wrap(torch.empty(tuple(shape), dtype=getattr(torch, dtype)), "result")
    data = np.empty(tuple(shape), numpy_dtype(dtype))
    result = wrap(data, "result")
    result.kind = kind
    return result


def export(array):
    """The array as the caller's library has it."""
    if array.kind == "jax":
        import jax.numpy
        return jax.numpy.asarray(array.owner)
    return array.owner
