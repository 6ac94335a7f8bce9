"""What the SDK raises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, List, Tuple

from ._native.unisono import ErrorKind, FieldError

__all__ = ["Error"]

if TYPE_CHECKING:

    class Error(Exception):
        """A call failed."""

        code: str
        """Which error it is: stable, for programs."""
        kind: ErrorKind
        """The broad class."""
        retryable: bool
        """Whether the same call may succeed later without anyone changing anything."""
        detail: str
        """What happened, in words."""
        fields: List[FieldError]
        """Which fields do not fit, and what they may be, where a change of settings was refused (``settings_invalid``)."""

else:
    from ._native.unisono import UnisonoError as Error

    Raised = Error.Failed

    def _raised(*fields: Any) -> Error:
        return Raised(*fields)

    def _reduced(error: Error) -> Tuple[Any, ...]:
        return _raised, (error.code, error.kind, error.retryable, error.detail, error.fields)

    # The generated class shows its fields; what a user reads is the sentence and the code. An exception is copied by its
    # arguments, which here are one text.
    Raised.__module__, Raised.__qualname__, Raised.__name__ = "unisono", "Error", "Error"
    Raised.__str__ = lambda error: f"{error.detail} ({error.code})"
    Raised.__repr__ = lambda error: f"unisono.Error({error.code!r}, {error.detail!r})"
    Raised.__reduce__ = _reduced
