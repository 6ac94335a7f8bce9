"""Builds the library with cargo and generates the module that calls it, then packs both beside the package's own sources.

Set ``UNISONO_PROFILE=dev`` for a library that builds faster and runs slower.
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
        profile = os.environ.get("UNISONO_PROFILE", "release")
        built = cargo("build", "--package", "unisono-ffi", "--lib", "--profile", profile)
        shutil.copy2(next(file for file in built if Path(file).name == LIBRARY), library)
        (generator,) = cargo("build", "--package", "unisono-bindgen", "--bin", "unisono-bindgen")
        config = ROOT / "uniffi.toml"
        options = ["--language", "python", "--no-format", "--config", config, "--out-dir", native.resolve()]
        subprocess.run([generator, "generate", *options, library.resolve()], cwd=ROOT, check=True)


class PlatformWheel(bdist_wheel):
    """A wheel for this platform, and for every Python: the library is called through ctypes."""

    def get_tag(self) -> tuple[str, str, str]:
        return "py3", "none", super().get_tag()[2]


class PlatformDistribution(Distribution):
    def has_ext_modules(self) -> bool:
        return True


def cargo(*args: str) -> list[str]:
    """Runs cargo; the files that it has built."""
    command = [os.environ.get("CARGO", "cargo"), *args, "--locked", "--message-format=json-render-diagnostics"]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    messages = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    artifacts = [message for message in messages if message.get("reason") == "compiler-artifact"]
    ours = [one for one in artifacts if one["target"]["name"].replace("_", "-") in (args[2], "unisono-bindgen")]
    return [one["executable"] for one in ours if one["executable"]] or [file for one in ours for file in one["filenames"]]


setup(
    cmdclass={"build_py": BuildWithLibrary, "bdist_wheel": PlatformWheel},
    distclass=PlatformDistribution,
)
