"""Tokens from the app's own function, which may be a coroutine function."""

from __future__ import annotations

import asyncio
import inspect
from typing import Awaitable, Callable, Union

from ._native.unisono_ffi import TokenRequest, TokenSource

__all__ = ["Token", "TokenFunction"]

TokenFunction = Callable[[], Union[str, Awaitable[str]]]
Token = Union[str, TokenFunction]


class TokensOf(TokenSource):
    """Asks ``function`` on ``loop``. One that is no coroutine function may wait for a network, so it gets a thread."""

    def __init__(self, function: TokenFunction, loop: asyncio.AbstractEventLoop) -> None:
        self._function = function
        self._loop = loop

    def token_wanted(self, request: TokenRequest) -> None:
        """Called on a thread of the library; the answer comes from the loop."""
        try:
            self._loop.call_soon_threadsafe(lambda: self._loop.create_task(self._answer(request)))
        except RuntimeError:
            request.refuse("the event loop that opened the client is closed")

    async def _answer(self, request: TokenRequest) -> None:
        try:
            request.give(await self._ask())
        except asyncio.CancelledError:
            request.refuse("it was cancelled")
            raise
        except Exception as error:
            request.refuse(f"{type(error).__name__}: {error}")

    async def _ask(self) -> str:
        if inspect.iscoroutinefunction(self._function):
            token = await self._function()
        else:
            token = await self._loop.run_in_executor(None, self._function)
            if inspect.isawaitable(token):
                token = await token
        if not isinstance(token, str):
            raise TypeError(f"a token is a str, not {type(token).__name__}")
        return token
