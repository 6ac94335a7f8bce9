"""What records, reports and the like are to Python: values that can be compared with anything."""

from __future__ import annotations

import enum
from typing import Any, Callable

from ._native import unisono as native
from ._native.unisono_ffi import IssuedApiKey


def _comparing(own: type, same: Callable[[Any, Any], bool]) -> Callable[[Any, object], Any]:
    def compared(self: Any, other: object) -> Any:
        return same(self, other) if isinstance(other, own) else NotImplemented

    return compared


# The generated classes read the other's fields, whatever that is: `None in records` would be an error.
for _own in [*vars(native).values(), IssuedApiKey]:
    if isinstance(_own, type) and _own.__module__.startswith(native.__name__) and "__eq__" in vars(_own):
        if not issubclass(_own, enum.Enum):
            setattr(_own, "__eq__", _comparing(_own, vars(_own)["__eq__"]))
