"""Runs all tests: ``python -m tests`` in the package's folder, with the package installed.

The totals have the form in which Rust's tests tell theirs, so that ``cargo xtask test`` adds up both.
"""

import faulthandler
import sys
import unittest
from pathlib import Path

# Longer than all tests take: a hang tells where.
faulthandler.dump_traceback_later(600, exit=True)
here = Path(__file__).resolve().parent
suite = unittest.defaultTestLoader.discover(str(here), top_level_dir=str(here.parent))
print(f"running {suite.countTestCases()} tests", flush=True)
result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)
failed = len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses)
passed = result.testsRun - failed - len(result.skipped)
verdict = "ok" if result.wasSuccessful() else "FAILED"
print(f"test result: {verdict}. {passed} passed; {failed} failed; {len(result.skipped)} ignored")
sys.exit(not result.wasSuccessful())
