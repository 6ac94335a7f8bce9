"""What the SDK raises."""

from __future__ import annotations

from ._native.unisono import UnisonoError as Error

__all__ = ["Error"]


def _text(error: Error) -> str:
    return f"{error.detail} ({error.code})"  # type: ignore[attr-defined]


# The generated class shows its fields; what a user reads is the sentence and the code.
Error.__str__ = _text  # type: ignore[method-assign]
