"""Arrays of any library as DLTensors, and new arrays of the same library.

NumPy's bfloat16 (ml_dtypes) exports neither DLPack nor the buffer protocol, so NumPy arrays are passed by
address. torch tensors are detached. Anything else comes by DLPack (dlpack.py), sharing its memory.
"""

import ctypes
import sys

import numpy as np

from . import devices, dlpack
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
    """A view of somebody's array; strides count elements.

    kind: "numpy", "torch", "jax", or a function that makes the caller's kind of array from a NumPy one.
    owner: a NumPy array or a torch tensor with the same memory. given: what the caller passed, kept alive.
    """

    def __init__(self, kind, owner, address, dtype, shape, strides, writable, given=None, device=devices.HOST):
        self.kind, self.owner, self.address, self.dtype = kind, owner, address, dtype
        self.shape, self.strides, self.writable, self.given = tuple(shape), tuple(strides), writable, given
        self.device = device

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
        tensor = DLTensor(ctypes.c_void_p(self.address), DLDevice(*self.device), rank, DLDataType(code, bits, 1),
                          ctypes.cast(shape, ctypes.POINTER(ctypes.c_int64)),
                          ctypes.cast(strides, ctypes.POINTER(ctypes.c_int64)), 0)
        return tensor, (self.owner, shape, strides)


def wrap(value, name, output=False):
    """Views an array; `name` is for errors. One that cannot be viewed is copied, or refused as an output."""
    torch = _torch()
    if torch is not None and isinstance(value, torch.Tensor):
        return _wrap_torch(torch, value, name, output)
    kind, data, writable = "numpy", value, None
    if not isinstance(value, np.ndarray):
        if isinstance(value, (np.generic, int, float, list, tuple)):
            raise TypeError(f"`{name}`: expected an array, got {type(value).__name__}")
        if type(value).__module__.split(".")[0] in ("jax", "jaxlib"):
            kind, data = "jax", np.asarray(value)
        else:
            kind, (data, writable) = _maker(value), dlpack.view(value, name, numpy_dtype)
    dtype = data.dtype.name
    _check_dtype(dtype, name)
    if not data.dtype.isnative:
        raise RepoError(f"`{name}`: expected native byte order")
    if not data.flags.aligned or any(stride % data.itemsize for stride in data.strides):
        if output:
            raise RepoError(f"`{name}`: expected an array of aligned elements, as it is written")
        data = np.array(data, order="C")
    return Array(kind, data, data.ctypes.data, dtype, data.shape, [stride // data.itemsize for stride in data.strides],
                 data.flags.writeable if writable is None else writable, value)


def _wrap_torch(torch, value, name, output):
    given, value = value, value.detach()
    if value.device.type not in ("cpu", "cuda"):
        raise RepoError(f"`{name}`: expected a tensor on the CPU or a CUDA device, got one on {value.device}")
    if value.layout != torch.strided or value.is_conj() or value.is_neg():
        if output:
            raise RepoError(f"`{name}`: expected a dense tensor, as it is written, got layout {value.layout}")
        value = (value if value.layout == torch.strided else value.to_dense()).resolve_conj().resolve_neg()
    dtype = str(value.dtype).rpartition(".")[2]
    _check_dtype(dtype, name)
    device = (devices.CUDA, value.device.index) if value.device.type == "cuda" else devices.HOST
    return Array("torch", value, value.data_ptr(), dtype, value.shape, value.stride(), True, given, device)


def wrap_outputs(function, out, names):
    """Views the arrays of `out=`, as many as there are names; None stays None."""
    if out is None:
        return None
    given = out if isinstance(out, (tuple, list)) else [out]
    if len(given) != len(names):
        raise TypeError(f"{function}: expected {len(names)} array{'s' * (len(names) > 1)} in out, got {len(given)}")
    return [wrap(value, name, output=True) for value, name in zip(given, names)]


def _maker(value):
    """How results become arrays of the library of `value`: by its array namespace, else they stay NumPy's."""
    namespace = value.__array_namespace__() if hasattr(value, "__array_namespace__") else None
    return getattr(namespace, "from_dlpack", None) or "numpy"


def _check_dtype(dtype, name):
    if dtype not in _TYPES:
        raise RepoError(f"`{name}`: element type {dtype} is not supported")


def contiguous(array):
    """A row-major copy."""
    if array.kind == "torch":
        return wrap(array.owner.contiguous().clone(), "copy")
    copy = wrap(np.array(array.owner, order="C", copy=True), "copy")
    copy.kind = array.kind
    return copy


def convert(array, dtype):
    """A copy with another element type."""
    if array.kind == "torch":
        torch = _torch()
        return wrap(array.owner.to(getattr(torch, dtype)).contiguous(), "copy")
    copy = wrap(np.ascontiguousarray(array.owner.astype(numpy_dtype(dtype))), "copy")
    copy.kind = array.kind
    return copy


def overlap(one, other):
    """Whether two arrays have memory in common."""
    if 0 in one.shape or 0 in other.shape or one.device != other.device:
        return False
    if one.device != devices.HOST:
        return False  # the runtime compares addresses; memory of a device is not looked at here
    views = []
    for array in (one, other):
        item = _TYPES[array.dtype][1] // 8
        start = np.frombuffer((ctypes.c_uint8 * item).from_address(array.address), f"V{item}")
        views.append(np.lib.stride_tricks.as_strided(start[:1].reshape((1,) * len(array.shape)), array.shape,
                                                     [stride * item for stride in array.strides], writeable=False))
    try:
        return np.shares_memory(*views, max_work=100000)
    except np.exceptions.TooHardError:
        return True


def numpy_dtype(name):
    if name == "bfloat16":
        import ml_dtypes
        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name)


def long_dtype(short):
    """float32 for f32."""
    return _LONG[short]


def empty(kind, shape, dtype, alignment=0, device=devices.HOST):
    """A new array of the library `kind`: `Array` whose owner the caller gets by `export`.

    alignment: of its address in bytes, for arrays of one dimension.
    """
    if alignment:
        size = np.dtype(numpy_dtype(dtype)).itemsize
        extra = empty(kind, [shape[0] + alignment // size], dtype, 0, device)
        skip = -extra.address % alignment // size
        return wrap(extra.owner[skip:skip + shape[0]], "result")
    if kind == "torch":
        torch = _torch()
        where = f"cuda:{device[1]}" if device != devices.HOST else "cpu"
        return wrap(torch.empty(tuple(shape), dtype=getattr(torch, dtype), device=where), "result")
    data = np.empty(tuple(shape), numpy_dtype(dtype))
    result = wrap(data, "result")
    result.kind = kind
    return result


def to_device(array, device):
    """The array on a CUDA device; scalars stay on the host, which reads them."""
    if array.device == device or not array.shape:
        return array
    if array.device != devices.HOST:
        raise RepoError(f"expected arrays on one device, got {array.device} and {device}")
    torch = _torch()
    owner = array.owner if array.kind == "torch" else torch.from_numpy(np.ascontiguousarray(array.owner))
    return wrap(owner.to(f"cuda:{device[1]}"), "copy")


def export(array):
    """The array as the caller's library has it."""
    if array.kind == "jax":
        import jax.numpy
        return jax.numpy.asarray(array.owner)
    if callable(array.kind) and array.given is array.owner:  # made by `empty`
        return array.kind(array.owner)
    return array.given
