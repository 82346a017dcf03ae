"""Puts the two shared libraries of a build into the package: REPO_BUILD_DIR, else ../build."""

import os
import pathlib
import shutil

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.dist import Distribution

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("REPO_BUILD_DIR", ROOT / "build"))


class BuildWithLibraries(build_py):
    def run(self):
        super().run()
        if getattr(self, "editable_mode", False):
            return  # the package in the source tree finds build/ itself
        target = pathlib.Path(self.build_lib) / "repo_mlir" / "lib"
        target.mkdir(parents=True, exist_ok=True)
        for name in ("librepo_compiler.so", "librepo_rt.so"):
            library = BUILD / "lib" / name
            if not library.exists():
                raise SystemExit(f"repo_mlir: expected {library}, found none; build the project or set REPO_BUILD_DIR")
            shutil.copy2(library, target / name)


class Platform(Distribution):
    def has_ext_modules(self):
        return True  # a wheel of this platform, not of any


setup(cmdclass={"build_py": BuildWithLibraries}, distclass=Platform)
