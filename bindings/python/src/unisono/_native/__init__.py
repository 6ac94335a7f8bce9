"""The library, and the generated modules that call it. The installation puts them here."""

import atexit

from . import unisono, unisono_ffi

# A thread of the library that calls Python while the interpreter ends would take the process down.
atexit.register(unisono_ffi.shut_down)

# The generated records tell their fields in `str` only.
for _kind in vars(unisono).values():
    if isinstance(_kind, type) and hasattr(_kind, "__dataclass_fields__"):
        _kind.__repr__ = _kind.__str__  # type: ignore[method-assign]
