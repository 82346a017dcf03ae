"""Kernels on the emulator, through the driver API it exports."""

import ctypes
import os
import subprocess

import conftest

TOOLS = conftest.BUILD / "bin"
driver = ctypes.CDLL(str(conftest.BUILD / "lib" / "librepo_emulator.so"), mode=ctypes.RTLD_GLOBAL)


class EmulationError(Exception):
    """What a driver function refused, or a kernel did wrong."""


def check(code):
    if code:
        text = ctypes.c_char_p()
        driver.cuGetErrorString(code, ctypes.byref(text))
        raise EmulationError(text.value.decode())


def to_llvm(source, chip="sm_90a"):
    """The LLVM IR of kernels, as the NVPTX back end gets it."""
    return subprocess.run([str(TOOLS / "repo-compile"), "-", "--target=cuda", f"--chip={chip}", "--emit=llvm", "-o", "-"],
                          input=source, text=True, capture_output=True, check=True, timeout=120).stdout


def build(llvm, path, *flags):
    """Makes a library of the host from kernels in LLVM IR."""
    done = subprocess.run([str(TOOLS / "repo-emulate"), "-", "-o", str(path), *flags], input=llvm, text=True,
                          capture_output=True, timeout=120)
    if done.returncode:
        raise EmulationError(done.stderr.strip())


class Kernels:
    """Kernels in LLVM IR, as a library of the host; without `llvm`, those in a library of `build`."""

    def __init__(self, llvm, path):
        if llvm is not None:
            build(llvm, path)
        self.library = ctypes.CDLL(str(path))
        self.module = ctypes.c_void_p()
        check(driver.cuModuleLoadData(ctypes.byref(self.module), ctypes.byref(ctypes.c_char.in_dll(self.library, "repo_kernels"))))

    def launch(self, name, grid, block, shared, arguments, order=0):
        """Arguments: arrays, ints (32 bits) and tensor maps."""
        function = ctypes.c_void_p()
        check(driver.cuModuleGetFunction(ctypes.byref(function), self.module, name.encode()))
        check(driver.cuFuncSetAttribute(function, 8, shared))
        values, arrays = [], []
        for argument in arguments:
            if isinstance(argument, int):
                values.append(ctypes.c_int32(argument))
            elif isinstance(argument, TensorMap):
                arrays.append(argument.array)
                values.append(argument.encoded)
            else:
                arrays.append(argument)
                values.append(ctypes.c_void_p(argument.ctypes.data))
        pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(v) for v in values))
        for array in arrays:
            driver.cuMemHostRegister_v2(ctypes.c_void_p(array.ctypes.data), ctypes.c_size_t(array.nbytes), 0)
        os.environ["REPO_EMULATOR_ORDER"] = str(order)
        try:
            check(driver.cuLaunchKernel(function, *grid, *block, shared, None, pointers, None))
        finally:
            for array in arrays:
                driver.cuMemHostUnregister(ctypes.c_void_p(array.ctypes.data))


class TensorMap:
    """A tensor map of a row-major array of bf16."""

    def __init__(self, array, box, swizzle=3):
        self.array = array
        rank = array.ndim
        sizes = (ctypes.c_uint64 * rank)(*reversed(array.shape))
        strides = (ctypes.c_uint64 * rank)(*list(reversed(array.strides))[1:], 0)
        self.encoded = (ctypes.c_char * 128)()
        check(driver.cuTensorMapEncodeTiled(
            self.encoded, 9, rank, ctypes.c_void_p(array.ctypes.data), sizes, strides,
            (ctypes.c_uint32 * rank)(*reversed(box)), (ctypes.c_uint32 * rank)(*[1] * rank), 0, swizzle, 2, 0))
