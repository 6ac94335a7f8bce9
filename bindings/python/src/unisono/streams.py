"""Watches and events as asynchronous iterators."""

from __future__ import annotations

import asyncio
from typing import AsyncIterator, Generic, Optional, Protocol, TypeVar

from ._native.unisono import ClientEvent, WatchUpdate

__all__ = ["Events", "Watch"]

T = TypeVar("T", covariant=True)


class _Source(Protocol[T]):
    async def next(self) -> Optional[T]: ...


class Stream(AsyncIterator[T], Generic[T]):
    """Yields what a source yields.

    An iteration that is cancelled loses nothing: what was on its way is the next one's. It ends when the client is closed,
    or with :meth:`aclose`.
    """

    def __init__(self, source: _Source[T]) -> None:
        self._source: Optional[_Source[T]] = source
        self._coming: Optional[asyncio.Task[Optional[T]]] = None

    def __aiter__(self) -> Stream[T]:
        return self

    async def __anext__(self) -> T:
        if self._source is None:
            raise StopAsyncIteration
        if self._coming is None:
            self._coming = asyncio.ensure_future(self._source.next())
        # The task outlives a cancelled iteration, and holds what came.
        coming = self._coming
        try:
            item = await asyncio.shield(coming)
        except asyncio.CancelledError:
            if coming.cancelled():
                self._coming = None
                # Whoever ends a loop cancels all its tasks, this one too: only `aclose` ends the iteration.
                if self._source is None:
                    raise StopAsyncIteration from None
            raise
        except BaseException:
            self._coming = None
            raise
        self._coming = None
        if item is None:
            self._source = None
            raise StopAsyncIteration
        return item

    async def aclose(self) -> None:
        """Ends it. Idempotent."""
        self._source = None
        coming, self._coming = self._coming, None
        if coming is not None:
            coming.cancel()
            await asyncio.wait([coming])

    async def __aenter__(self) -> Stream[T]:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class Watch(Stream[WatchUpdate]):
    """A query's answer: first as it is, then whenever it changes.

    Each update has the ``records`` now, and the ``changes`` since the one before. Changes that come faster than the app asks
    come together.
    """


class Events(Stream[ClientEvent]):
    """What happens in the client. Whoever reads too slowly finds ``ClientEvent.LAGGED`` in place of what was missed."""
