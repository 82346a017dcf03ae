"""Attention with learned positions: the RePo compiler from Python.

    import repo_mlir as repo
    out = repo.attention(q, k, v, zq, zk, rope=repo.Rope(theta=500000.0), causal=True)

Arrays are CPU arrays of NumPy, torch, JAX or anything with DLPack; results are arrays of the library
of the first argument. The first call with new static properties compiles a kernel; kernels are cached
in memory and on disk (`REPO_CACHE_DIR`).
"""

from .devices import load_emulator
from .errors import RepoError
from .gradients import assign_positions_backward, attention_backward, rotate_backward
from .library import Library, compile, opt
from .model import Model, Session, compile_model, load_model, pack_model
from .ops import Rope, assign_positions, attention, rotate
from .runtime import set_num_threads

__all__ = ["Library", "Model", "RepoError", "Rope", "Session", "assign_positions", "assign_positions_backward", "attention",
           "attention_backward", "compile", "compile_model", "load_model", "opt", "pack_model", "rotate",
           "rotate_backward", "set_num_threads"]
__version__ = "0.1.0"
