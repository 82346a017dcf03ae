"""Where the shared libraries of the project are, and the assembler of NVIDIA."""

import importlib.util
import os
import pathlib
import shutil

from .errors import RepoError

_PACKAGE = pathlib.Path(__file__).resolve().parent


def _folders():
    if os.environ.get("REPO_BUILD_DIR"):
        yield pathlib.Path(os.environ["REPO_BUILD_DIR"]) / "lib"
    yield _PACKAGE / "lib"  # an installed package that carries them
    yield _PACKAGE.parent.parent / "build" / "lib"  # a built source tree
    for prefix in ("/usr/local", "/usr"):
        yield pathlib.Path(prefix) / "lib"


def shared_library(name):
    """The path of lib`name`.so; REPO_BUILD_DIR names a build folder to look in first."""
    for folder in _folders():
        path = folder / f"lib{name}.so"
        if path.exists():
            return str(path)
    looked = ", ".join(str(folder) for folder in _folders())
    raise RepoError(f"expected lib{name}.so in {looked}, found none; build the project or set REPO_BUILD_DIR")


def ptxas():
    """The path of an assembler for NVIDIA kernels, or None: REPO_PTXAS, of a toolkit, of the package nvidia-cuda-nvcc."""
    if os.environ.get("REPO_PTXAS"):
        return os.environ["REPO_PTXAS"]
    found = shutil.which("ptxas") or shutil.which("ptxas", path="/usr/local/cuda/bin")
    if found:
        return found
    package = importlib.util.find_spec("nvidia")
    for folder in package.submodule_search_locations or () if package else ():
        for path in sorted(pathlib.Path(folder).glob("cu*/bin/ptxas"), reverse=True):
            return str(path)
    return None
