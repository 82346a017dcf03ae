"""Where the shared libraries of the project are."""

import os
import pathlib

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
