"""What to do when opening fails with ``storage_corrupt``."""

from __future__ import annotations

import os
from typing import Union

from ._native import unisono_ffi as native
from ._native.unisono import RecoveryReport

__all__ = ["recover"]


async def recover(path: Union[str, "os.PathLike[str]"]) -> RecoveryReport:
    """Makes a new replica of what can be read of the damaged one at ``path``, and puts it in its place.

    The damaged file is kept aside (``report.kept_aside``). Every unsent event that can be read is in the new queue; what is
    known to be lost is in ``report.lost_events``, and ``report.log_lost`` says whether there may be more. Open the replica
    afterwards as usual; the next sync fetches the records anew. Nobody may have it open.
    """
    return await native.recover(os.fspath(path))
