"""The library, and the generated modules that call it. The installation puts them here."""

import atexit

from . import unisono, unisono_ffi

# A thread of the library that calls Python while the interpreter ends would take the process down.
atexit.register(unisono_ffi.shut_down)

# The generated records tell their fields in `str` only.
for _kind in [*vars(unisono).values(), unisono_ffi.IssuedApiKey]:
    if isinstance(_kind, type) and hasattr(_kind, "__dataclass_fields__"):
        _kind.__repr__ = _kind.__str__  # type: ignore[method-assign]


def _answer(handle: int, poll_code: int) -> None:
    """Wakes the call that waits for an answer.

    In the place of the generated callback, which prints a traceback when a call is answered whose event loop has been closed
    meanwhile: nobody waits for that answer any more.
    """
    loop, future = unisono_ffi._UniffiContinuationHandleMap.remove(handle)
    try:
        loop.call_soon_threadsafe(unisono_ffi._uniffi_set_future_result, future, poll_code)
    except RuntimeError:
        if not loop.is_closed():
            raise


unisono_ffi._uniffi_continuation_callback = unisono_ffi._UNIFFI_RUST_FUTURE_CONTINUATION_CALLBACK(_answer)
