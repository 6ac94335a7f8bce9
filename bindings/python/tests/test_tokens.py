"""Tokens: a string, a function, a coroutine function; right, wrong, late, failing."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, List, cast

from unisono import ErrorKind, SyncState

from .support import ClientCase

WRONG = "not.a.token"


class Tokens(ClientCase):
    async def test_a_coroutine_function_runs_on_the_loop_that_opened_the_client(self) -> None:
        places = []

        async def token() -> str:
            await asyncio.sleep(0)
            places.append((threading.current_thread(), asyncio.get_running_loop()))
            return self.server.token()

        client = await self.open(account=None, token=token)
        await client.sync_now()
        await client.sync_now()
        self.assertEqual(places, [(threading.main_thread(), asyncio.get_running_loop())], "asked once, on the loop")

    async def test_a_function_may_block_and_its_token_tells_the_account(self) -> None:
        good, loop_went_on = self.server.token(), threading.Event()

        def token() -> str:
            # Waits for the loop, as a request of a library for threads would.
            self.assertTrue(loop_went_on.wait(30))
            return good

        opening = asyncio.ensure_future(self.open(token=token))
        asyncio.get_running_loop().call_soon(loop_went_on.set)
        client = await opening
        await client.sync_now()
        await client.close()
        await self.fails("identity_mismatch", ErrorKind.AUTH, self.open(account="bob"))

    async def test_a_refused_token_is_renewed_once(self) -> None:
        tokens = [WRONG, self.server.token()]
        client = await self.open(account="anna", token=lambda: tokens.pop(0))
        await client.collection("samples").create("kick", {})
        self.assertEqual((await client.sync_now()).pushed, 1)
        self.assertEqual(tokens, [])

    async def test_a_function_that_raises_is_an_auth_error_and_costs_nothing(self) -> None:
        outcomes: List[Any] = [RuntimeError("the login page is down"), 7, self.server.token()]

        async def token() -> str:
            outcome = outcomes.pop(0)
            if isinstance(outcome, Exception):
                raise outcome
            return cast(str, outcome)

        client = await self.open(account="anna", token=token)
        await client.collection("samples").create("kick", {})
        words = await self.fails("auth_required", ErrorKind.AUTH, client.sync_now())
        self.assertIn("RuntimeError: the login page is down", words)
        self.assertEqual(client.status().state, SyncState.AUTH_REQUIRED())
        self.assertIn("a token is a str, not int", await self.fails("auth_required", ErrorKind.AUTH, client.sync_now()))
        self.assertEqual((await client.sync_now()).pushed, 1)

    async def test_a_function_may_call_the_client_that_asks_it(self) -> None:
        pending: List[str] = []

        async def token() -> str:
            pending.extend(event.key.record for event in await client.pending())
            await client.collection("samples").create("snare", {})
            return self.server.token()

        client = await self.open(account="anna", token=token)
        await client.collection("samples").create("kick", {})
        await client.sync_now()
        self.assertEqual(pending, ["kick"])
        self.assertIsNotNone(await client.collection("samples").get("snare"))

    async def test_a_call_does_not_wait_for_a_function_that_does_not_answer(self) -> None:
        asked, never = asyncio.Event(), asyncio.Event()

        async def token() -> str:
            asked.set()
            await never.wait()
            return WRONG

        client = await self.open(account="anna", token=token)
        sync = asyncio.ensure_future(client.sync_now())
        await asked.wait()
        await client.collection("samples").create("kick", {})
        sync.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await sync
        client.set_token(self.server.token())
        self.assertEqual((await client.sync_now()).pushed, 1)
        never.set()

    async def test_errors_never_repeat_a_token(self) -> None:
        client = await self.open(account="anna", token="secret.secret.secret")
        words = await self.fails("auth_required", ErrorKind.AUTH, client.sync_now())
        self.assertNotIn("secret", words)
        self.assertNotIn("secret", repr(client.status()))
