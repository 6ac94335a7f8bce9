"""The package's types and what the tests make of them, as mypy reads both (its rules: ``pyproject.toml``)."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import unittest

from .support import ROOT


class Types(unittest.TestCase):
    def test_the_package_and_its_tests_are_typed_throughout(self) -> None:
        with tempfile.TemporaryDirectory() as cache:
            command = [sys.executable, "-m", "mypy", "--cache-dir", cache, "-p", "unisono", "-p", "tests"]
            done = subprocess.run(command, cwd=ROOT / "bindings" / "python", capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
