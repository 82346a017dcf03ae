"""Compiled libraries: `compile`, `opt` and the entries of a `Library`."""

import ctypes
import json
import os
import pathlib

from . import arrays, cache, compiler
from .errors import RepoError
from .runtime import DLTensor, check, context, runtime


def opt(source, pipeline):
    """Runs a textual pass pipeline on IR text; returns the text that repo-opt prints.

    pipeline: such as "builtin.module(repo-decompose)".
    """
    return compiler.run_pipeline(source, pipeline)


def compile(source, *, target="cpu", cpu="native", chip=None, out=None, pipeline="cpu"):
    """Compiles MLIR, a text or a path, to a Library.

    cpu: "native" or a CPU name of LLVM. out: the library is written there (and its header beside it), else it
    is cached. Raises RepoError with the compiler's text.
    """
    if target != "cpu" or chip is not None:
        raise RepoError(f"compile: expected target=\"cpu\" and no chip, got target={target!r}, chip={chip!r}: "
                        "this build has no GPU path")
    text = str(source)
    name = "source"
    if isinstance(source, os.PathLike) or ("\n" not in text and text.endswith(".mlir")):
        name = text
        try:
            text = pathlib.Path(source).read_text()
        except OSError as error:
            raise RepoError(f"cannot read `{source}`: {error.strerror}") from None
    if out is None:
        return Library(cache.compiled(text, cpu, pipeline))
    compiler.compile_to(out, input=name, source=text, cpu=cpu, pipeline=pipeline)
    return Library(out)


class Library:
    """An open library; `library["entry"]` is callable with arrays."""

    def __init__(self, path):
        self.path = os.fspath(path)
        pointer = ctypes.c_void_p()
        here = context()
        check(runtime().repo_rt_library_open(here, os.path.abspath(self.path).encode(), ctypes.byref(pointer)), here)
        self._pointer = pointer
        manifest = json.loads(runtime().repo_rt_library_manifest(pointer))
        self.entries = {entry["name"]: Entry(self, entry) for entry in manifest["entries"]}

    def __getitem__(self, name):
        if name not in self.entries:
            raise RepoError(f"{self.path}: no entry `{name}`; there are: {', '.join(self.entries)}")
        return self.entries[name]

    def __repr__(self):
        return f"<Library {self.path}: {', '.join(self.entries)}>"


class Entry:
    """A function of a library: takes its inputs in order, returns its outputs.

    One output is returned as it is, several as a tuple; arguments that are updated in place are among the
    inputs. `out` takes preallocated outputs.
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
        if len(inputs) != len(self.inputs):
            raise TypeError(f"{self.name}: expected {len(self.inputs)} inputs, got {len(inputs)}")
        wrapped = [arrays.wrap(value, argument["name"]) for value, argument in zip(inputs, self.inputs)]
        outs = None if out is None else [arrays.wrap(value, argument["name"]) for value, argument in zip(
            out if isinstance(out, (tuple, list)) else [out], self.outputs)]
        results = self.call(wrapped, outs)
        exported = [arrays.export(result) for result in results]
        return exported[0] if len(exported) == 1 else tuple(exported)

    def call(self, inputs, outs=None):
        """Takes and returns `arrays.Array`s."""
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
            outs = [arrays.empty(kind, [self._size(size, symbols, argument) for size in argument["shape"]],
                                 arrays.long_dtype(argument["dtype"])) for argument in self.outputs]
        elif len(outs) != len(self.outputs):
            raise TypeError(f"{self.name}: expected {len(self.outputs)} outputs, got {len(outs)}")
        self._check_outputs(outs, prepared)
        in_order, results = iter(prepared), iter(outs)
        tensors, alive = [], []
        for argument in self.arguments:
            array = next(results if argument["role"] == "output" else in_order)
            tensor, owners = array.dltensor()
            tensors.append(tensor)
            alive.append(owners)
        pointers = (ctypes.POINTER(DLTensor) * max(1, len(tensors)))(*map(ctypes.pointer, tensors))
        here = context()
        check(self._function(here, ctypes.cast(pointers, ctypes.c_void_p), len(tensors)), here)
        return outs

    def _size(self, size, symbols, argument):
        if isinstance(size, str):
            if size not in symbols:
                raise RepoError(f"{self.name}: `{argument['name']}`: size {size} does not follow from the inputs; "
                                "pass out=")
            return symbols[size]
        return size

    def _check_outputs(self, outs, inputs):
        for array, argument in zip(outs, self.outputs):
            if not array.writable or not array.passable(output=True):
                raise RepoError(f"{self.name}: `{argument['name']}`: expected a writable array with inner stride 1")
