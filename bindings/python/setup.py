"""Builds the library with cargo and generates the module that calls it, then packs both beside the package's own sources.

Set ``UNISONO_PROFILE=dev`` for a library that builds faster and runs slower. Whoever has built both already says where they
are: ``UNISONO_LIBRARY`` and ``UNISONO_BINDGEN``; then cargo is not needed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = {"darwin": "libunisono_ffi.dylib", "win32": "unisono_ffi.dll"}.get(sys.platform, "libunisono_ffi.so")


class BuildWithLibrary(build_py):
    """The package's sources, the library, and the generated module."""

    def run(self) -> None:
        super().run()
        if not (ROOT / "bindings" / "uniffi" / "Cargo.toml").is_file():
            raise SystemExit("The library's sources are missing: install from a checkout of the repository.")
        native = Path(self.build_lib) / "unisono" / "_native"
        native.mkdir(parents=True, exist_ok=True)
        library = native / LIBRARY
        shutil.copyfile(os.environ.get("UNISONO_LIBRARY") or build_library(), library)
        generator = os.environ.get("UNISONO_BINDGEN") or build_generator()
        config = ROOT / "uniffi.toml"
        options = ["--language", "python", "--no-format", "--config", str(config), "--out-dir", str(native.resolve())]
        subprocess.run([generator, "generate", *options, library.resolve()], cwd=ROOT, check=True)
        strip(library)  # only now: the generator reads the symbols


class PlatformWheel(bdist_wheel):
    """A wheel for this platform, and for every Python: the library is called through ctypes."""

    def get_tag(self) -> tuple[str, str, str]:
        return "py3", "none", super().get_tag()[2]


class PlatformDistribution(Distribution):
    def has_ext_modules(self) -> bool:
        return True


def build_library() -> str:
    profile = os.environ.get("UNISONO_PROFILE", "release")
    files = cargo("rustc", "--package", "unisono-ffi", "--lib", "--crate-type", "cdylib", "--profile", profile)
    return next(file for file in files if Path(file).name == LIBRARY)


def build_generator() -> str:
    suffix = ".exe" if sys.platform == "win32" else ""
    files = cargo("build", "--package", "unisono-bindgen")
    return next(file for file in files if Path(file).name == "unisono-bindgen" + suffix)


def strip(library: Path) -> None:
    """Removes the symbols that nobody calls by: a quarter of the file and more. Where there is no ``strip``, it stays whole."""
    program = shutil.which("strip")
    if program:
        subprocess.run([program, "-x" if sys.platform == "darwin" else "--strip-unneeded", library], check=True)


def cargo(command: str, *options: str) -> list[str]:
    """Builds with cargo; the files that there are now."""
    call = [os.environ.get("CARGO", "cargo"), command, "--locked", "--message-format=json-render-diagnostics", *options]
    done = subprocess.run(call, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    messages = (json.loads(line) for line in done.stdout.splitlines())
    return [file for message in messages if message["reason"] == "compiler-artifact" for file in message["filenames"]]


setup(
    cmdclass={"build_py": BuildWithLibrary, "bdist_wheel": PlatformWheel},
    distclass=PlatformDistribution,
)
