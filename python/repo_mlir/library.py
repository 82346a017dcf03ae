"""Compiled libraries: `compile`, `opt` and the entries of a `Library`."""

import ctypes
import json
import os
import pathlib

import numpy as np

from . import arrays, cache, compiler, devices
from .errors import RepoError
from .runtime import DLTensor, check, context, runtime


def opt(source, pipeline):
    """Runs a textual pass pipeline on IR text; returns the text that repo-opt prints.

    pipeline: such as "builtin.module(repo-decompose)"; a bare list of passes runs over the module.
    """
    return compiler.run_pipeline(source, pipeline)


def compile(source, *, target="cpu", cpu="native", chip=None, out=None, pipeline="cpu"):
    """Compiles MLIR, a text or a path, to a Library.

    cpu: "native" or a CPU name of LLVM. out: the library is written there (and its header beside it), else it
    is cached. Raises RepoError with the compiler's text.

    target: "cpu"; "cuda", whose entries take CUDA tensors and run on torch's current stream without waiting; or
    "emulator": the kernels for a GPU, run on the CPU (repo_mlir.load_emulator() first). chip: GPU architectures, such
    as "sm_90a" or "sm_80,sm_90a"; by default that of torch's device, else sm_80.
    """
    if target not in ("cpu", "cuda", "emulator"):
        raise RepoError(f"compile: expected target=\"cpu\", \"cuda\" or \"emulator\", got {target!r}")
    if target == "cpu" and chip is not None:
        raise RepoError(f"compile: expected no chip with target=\"cpu\", got {chip!r}")
    if target == "cuda" and chip is None:
        chip = devices.default_chip()
    text = str(source)
    name = "source"
    if not isinstance(source, (str, os.PathLike)):
        raise TypeError(f"compile: expected MLIR text or a path, got {type(source).__name__}")
    if isinstance(source, os.PathLike) or ("\n" not in text and (text.endswith(".mlir") or os.path.isfile(text))):
        name = text
        try:
            text = pathlib.Path(source).read_text()
        except OSError as error:
            raise RepoError(f"cannot read `{source}`: {error.strerror}") from None
        except UnicodeDecodeError:
            raise RepoError(f"cannot read `{source}`: expected MLIR text, found other bytes") from None
    if out is None:
        return Library(cache.compiled(text, cpu, pipeline, name, target, chip))
    compiler.compile_to(out, input=name, source=text, cpu=cpu, pipeline=pipeline, target=target, chip=chip)
    return Library(out)


class Library:
    """An open library; `library["entry"]` is callable with arrays.

    An entry NAME with constant weights has a faster twin NAME_packed, which takes them packed, once:
    `packed = library.pack("NAME", *constants)`, then `library["NAME_packed"](packed, *other_inputs)`.
    """

    def __init__(self, path):
        self.path = os.fspath(path)
        pointer = ctypes.c_void_p()
        here = context()
        check(runtime().repo_rt_library_open(here, os.fsencode(os.path.abspath(self.path)), ctypes.byref(pointer)), here)
        self._pointer = pointer
        self.manifest = json.loads(runtime().repo_rt_library_manifest(pointer))
        self.entries = {entry["name"]: Entry(self, entry) for entry in self.manifest["entries"]}

    def __getitem__(self, name):
        if name not in self.entries:
            raise RepoError(f"{self.path}: no entry `{name}`; there are: {', '.join(self.entries)}")
        return self.entries[name]

    def pack(self, name, *constants, out=None):
        """The weights of the entry `name` as `NAME_packed` takes them: an array of bytes, aligned to 64.

        constants: the arguments of the entry that are constant, in order. Entries whose "packed_layout" in the
        manifest is the same (the prefill and the step of a model) share one packed array.
        """
        self[name]
        if f"{name}_pack" not in self.entries:
            raise RepoError(f"{self.path}: entry `{name}` has no constant weights to pack")
        return self[f"{name}_pack"](*constants, out=out)

    def __del__(self):
        if getattr(self, "_pointer", None) and runtime is not None:  # None while Python shuts down
            runtime().repo_rt_library_close(self._pointer)
            self._pointer = None

    def __repr__(self):
        return f"<Library {self.path}: {', '.join(self.entries)}>"


class Entry:
    """A function of a library: takes its inputs in order, returns its outputs.

    One output is returned as it is, several as a tuple; arguments that are updated in place are among the
    inputs. Scalar inputs may be Python numbers. `out` takes preallocated outputs, which share no memory with inputs.
    """

    def __init__(self, library, description):
        self.library = library
        self.name = description["name"]
        self.arguments = description["args"]
        self.inputs = [a for a in self.arguments if a["role"] != "output"]
        self.outputs = [a for a in self.arguments if a["role"] == "output"]
        pointer = ctypes.c_void_p()
        here = context()
        check(runtime().repo_rt_library_entry(here, library._pointer, self.name.encode(), ctypes.byref(pointer)), here)
        prototype = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32)
        self._function = prototype(pointer.value)

    def __call__(self, *inputs, out=None):
        results = self.call(self._wrap(inputs), arrays.wrap_outputs(self.name, out, [a["name"] for a in self.outputs]))
        exported = [arrays.export(result) for result in results]
        return exported[0] if len(exported) == 1 else tuple(exported)

    def bind(self, *inputs, out):
        """The call `entry(*inputs, out=out)` on these very arrays, checked once: a function without arguments.

        For short calls that are made again and again; each costs some microseconds. The arrays stay alive, and what
        is in them may change between calls, their shapes may not. Arrays that have to be copied are copied once.
        """
        outs = arrays.wrap_outputs(self.name, out, [a["name"] for a in self.outputs])
        return self._prepare(self._wrap(inputs), outs)[1]

    def call(self, inputs, outs=None):
        """Takes and returns `arrays.Array`s."""
        outs, call = self._prepare(inputs, outs)
        call()
        return outs

    def _wrap(self, inputs):
        if len(inputs) != len(self.inputs):
            raise TypeError(f"{self.name}: expected {len(self.inputs)} inputs, got {len(inputs)}")
        return [arrays.wrap(_scalar(value, argument), argument["name"], output=argument["role"] == "inout")
                for value, argument in zip(inputs, self.inputs)]

    def _prepare(self, inputs, outs):
        """The outputs, and the call on them."""
        symbols = {}
        prepared = []
        for array, argument in zip(inputs, self.inputs):
            if argument["role"] == "inout":
                if not array.passable(output=True) or not array.writable:
                    raise RepoError(f"{self.name}: `{argument['name']}`: expected a writable array with inner stride "
                                    "1, as it is updated in place")
            elif not array.passable():
                array = arrays.contiguous(array)
            for size, value in zip(argument["shape"], array.shape):
                if isinstance(size, str):
                    symbols.setdefault(size, value)
            prepared.append(array)
        if outs is None:
            kind = inputs[0].kind if inputs else "numpy"
            device = next((array.device for array in inputs if array.device != devices.HOST), devices.HOST)
            outs = [arrays.empty(kind, [self._size(size, symbols, argument) for size in argument["shape"]],
                                 arrays.long_dtype(argument["dtype"]), argument.get("alignment", 0), device)
                    for argument in self.outputs]
        self._check_outputs(outs, prepared)
        in_order, results = iter(prepared), iter(outs)
        tensors, alive = [], []
        for argument in self.arguments:
            array = next(results if argument["role"] == "output" else in_order)
            tensor, owners = array.dltensor()
            tensors.append(tensor)
            alive.append(owners)
        pointers = (ctypes.POINTER(DLTensor) * max(1, len(tensors)))(*map(ctypes.pointer, tensors))
        arguments, count = ctypes.cast(pointers, ctypes.c_void_p), len(tensors)
        on_device = any(tensor.device.device_type == devices.CUDA for tensor in tensors)

        def call(_alive=(alive, tensors, pointers)):
            here = context()
            if on_device:
                runtime().repo_rt_set_stream(here, devices.current_stream(tensors))
            check(self._function(here, arguments, count), here)

        return outs, call

    def _size(self, size, symbols, argument):
        if isinstance(size, str):
            if size not in symbols:
                raise RepoError(f"{self.name}: `{argument['name']}`: size {size} does not follow from the inputs; "
                                "pass out=")
            return symbols[size]
        return size

    def _check_outputs(self, outs, inputs):
        written = list(zip(outs, self.outputs))
        for array, argument in written:
            if not array.writable or not array.passable(output=True):
                raise RepoError(f"{self.name}: `{argument['name']}`: expected a writable array with inner stride 1")
        written += [(array, argument) for array, argument in zip(inputs, self.inputs) if argument["role"] == "inout"]
        for array, argument in written:
            for other, its in [*zip(inputs, self.inputs), *zip(outs, self.outputs)]:
                if other is not array and arrays.overlap(array, other):
                    raise RepoError(f"{self.name}: `{argument['name']}`: expected memory of its own, as it is written; "
                                    f"it overlaps `{its['name']}`")


def _scalar(value, argument):
    """A Python number as the 0-d array that a scalar argument is."""
    if argument["shape"] or isinstance(value, bool) or not isinstance(value, (int, float, np.generic)):
        return value
    dtype = arrays.numpy_dtype(arrays.long_dtype(argument["dtype"]))
    if dtype.kind in "iu" and (int(value) != value or not np.iinfo(dtype).min <= value <= np.iinfo(dtype).max):
        raise RepoError(f"`{argument['name']}`: expected an integer that fits {argument['dtype']}, got {value!r}")
    return np.array(value, dtype)
