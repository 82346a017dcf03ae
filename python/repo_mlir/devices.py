"""Devices of arrays, as DLPack numbers them, and what torch knows of the GPU."""

import ctypes
import sys

from .errors import RepoError
from .find import shared_library

CUDA = 2
HOST = (1, 0)

# Architectures with instructions of their own, which only code for exactly them can use.
_SPECIFIC = {(9, 0): "sm_90a", (10, 0): "sm_100a"}


def default_chip(index=None):
    """The architecture of a CUDA device, torch's current one by default; sm_80 where there is none."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return "sm_80"
    capability = torch.cuda.get_device_capability(index)
    if capability < (8, 0):
        raise RepoError(f"expected a CUDA device of at least sm_80, got sm_{capability[0]}{capability[1]}")
    return _SPECIFIC.get(capability, f"sm_{capability[0]}{capability[1]}")


def current_index():
    """torch's current CUDA device; 0 without torch."""
    torch = sys.modules.get("torch")
    return torch.cuda.current_device() if torch is not None and torch.cuda.is_available() else 0


def current_stream(tensors):
    """torch's current stream on the device of the tensors; the default stream without torch."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return None
    index = next(tensor.device.device_id for tensor in tensors if tensor.device.device_type == CUDA)
    return torch.cuda.current_stream(index).cuda_stream


def load_emulator():
    """Loads the emulator, so that libraries of target="emulator" find it."""
    return ctypes.CDLL(shared_library("repo_emulator"), mode=ctypes.RTLD_GLOBAL)
