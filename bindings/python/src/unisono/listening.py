"""Listeners: functions that are told what happens in a client."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any, Callable

from ._native.unisono import ClientEvent
from .streams import Events

__all__ = ["Listener", "Subscription"]

Listener = Callable[[ClientEvent], Any]


class Subscription:
    """A listener's place in a client. It lasts until it is cancelled, the client is closed or the event loop ends."""

    def __init__(self, task: asyncio.Task[None]) -> None:
        self._task = task

    def cancel(self) -> None:
        """Ends it. The listener hears nothing more."""
        self._task.cancel()


async def tell(events: Events, listener: Listener) -> None:
    """Tells ``listener`` one event after the other, a slow one at its own pace.

    What it raises goes to the loop's exception handler; the next event comes all the same.

    (The library can call a function on its own threads, too. A thread that is inside Python when the interpreter ends takes
    the process down, so the package reads the events instead.)
    """
    async for event in events:
        try:
            told = listener(event)
            if inspect.isawaitable(told):
                await told
        except Exception as error:
            context = {"message": "an event listener of unisono failed", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)
