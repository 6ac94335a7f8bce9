"""What an app does to its process: cancels, forks, uses threads, ends without a word."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import threading
import unittest

import unisono

from .support import ClientCase


class Cancelling(ClientCase):
    async def test_a_cancelled_write_was_made_or_not_and_the_client_goes_on(self) -> None:
        client = await self.local()
        samples = client.collection("samples")
        for n in range(60):
            write = asyncio.ensure_future(samples.create(f"s{n}", {"n": n}))
            for _ in range(n % 4):
                await asyncio.sleep(0)
            write.cancel()
            await asyncio.wait([write])
        # In queue order after every write that was cancelled.
        await samples.create("last", {})
        rows = {row.id: row.doc for row in await samples.query()}
        self.assertEqual({event.key.record for event in await client.pending()}, set(rows))
        self.assertEqual(client.status().pending, len(rows))
        self.assertTrue(all(doc == {"n": int(id[1:])} for id, doc in rows.items() if id != "last"))

    async def test_a_cancelled_sync_is_done_by_the_next(self) -> None:
        client = await self.open()
        for n in range(50):
            await client.collection("samples").create(f"s{n}", {})
        for turns in (1, 3, 10):
            sync = asyncio.ensure_future(client.sync_now())
            for _ in range(turns):
                await asyncio.sleep(0)
            sync.cancel()
            await asyncio.wait([sync])
        await client.sync_now()
        other = await self.open("b")
        await other.sync_now()
        self.assertEqual((client.status().pending, len(await other.collection("samples").query())), (0, 50))

    async def test_a_cancelled_opening_leaves_a_file_that_opens(self) -> None:
        for turns in range(6):
            opening = asyncio.ensure_future(unisono.Client.open(self.path("a.db"), account="anna"))
            for _ in range(turns):
                await asyncio.sleep(0)
            opening.cancel()
            await asyncio.wait([opening])
            if not opening.cancelled() and opening.exception() is None:
                await opening.result().close()
        client = await self.opened_at_last()
        await client.collection("samples").create("kick", {})

    async def opened_at_last(self) -> unisono.Client:
        """The cancelled opening may still be letting go of the file."""
        while True:
            try:
                return await self.local(account="anna")
            except unisono.Error as error:
                if error.code != "already_open":
                    raise

    async def test_a_deadline_is_an_error_that_can_be_retried(self) -> None:
        server = self.server
        client = await self.open()
        await client.collection("samples").create("kick", {})
        with self.assertRaises(unisono.Error) as caught:
            await client.sync_now(deadline=0)
        self.assertEqual((caught.exception.code, caught.exception.retryable), ("deadline", True))
        server.stop()
        self.addCleanup(server.start_again)
        with self.assertRaises(unisono.Error) as caught:
            await client.sync_now(deadline=30)
        self.assertEqual(caught.exception.code, "unreachable")


class Threads(ClientCase):
    async def test_two_loops_in_two_threads_share_a_client(self) -> None:
        client = await self.local()
        samples = client.collection("samples")
        failures = []

        async def work(name: str) -> None:
            for n in range(20):
                await samples.create(f"{name}{n}", {})

        def elsewhere() -> None:
            try:
                asyncio.run(work("b"))
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=elsewhere)
        thread.start()
        await work("a")
        await asyncio.get_running_loop().run_in_executor(None, thread.join)
        self.assertEqual((failures, len(await samples.query())), ([], 40))


@unittest.skipUnless(hasattr(os, "fork"), "this system has no fork")
class Forks(ClientCase):
    async def test_a_child_s_copy_is_closed_and_the_child_may_open_its_own(self) -> None:
        client = await self.local()
        await client.collection("samples").create("kick", {})
        child = os.fork()
        if child == 0:
            os._exit(self.in_child(client))
        _, status = await asyncio.get_running_loop().run_in_executor(None, os.waitpid, child, 0)
        self.assertEqual(os.WEXITSTATUS(status), 0)
        self.assertEqual(await client.collection("samples").get("kick"), {})

    def in_child(self, client: unisono.Client) -> int:
        async def calls() -> int:
            for call in (client.collection("samples").get("kick"), client.sync_now(), client.close()):
                try:
                    await asyncio.wait_for(call, 30)
                    return 1
                except unisono.Error as error:
                    if error.code != "closed":
                        return 2
            async with await unisono.Client.open(self.path("child.db")) as own:
                await own.collection("samples").create("snare", {})
                return 0 if await own.collection("samples").get("snare") == {} else 3

        result = []
        # The parent's loop runs in this thread.
        thread = threading.Thread(target=lambda: result.append(asyncio.run(calls())))
        thread.start()
        thread.join()
        return result[0] if result else 4


class Endings(ClientCase):
    def run_script(self, script: str) -> None:
        prelude = "import asyncio, threading, unisono\n"
        command = [sys.executable, "-c", prelude + textwrap.dedent(script), self.path("a.db")]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
        self.assertEqual((done.returncode, done.stdout), (0, ""))

    async def test_a_process_may_end_with_everything_open(self) -> None:
        for _ in range(5):
            self.run_script(
                """
                import sys
                async def main():
                    global client, watch
                    client = await unisono.Client.open(sys.argv[1], url="http://127.0.0.1:9", account="anna", token="t")
                    client.listen(lambda event: None)
                    watch = client.collection("samples").watch()
                    await client.start()
                    for n in range(20):
                        await client.collection("samples").create(f"s{threading.get_ident()}{n}", {})
                    client.set_online(True)
                asyncio.run(main())
                asyncio.run(client.collection("samples").delete(f"s{threading.get_ident()}3"))
                """
            )

    async def test_a_process_may_end_while_syncs_are_under_way(self) -> None:
        server = self.server
        for _ in range(10):
            self.run_script(
                f"""
                import sys
                async def forever():
                    try:
                        while True:
                            await client.sync_now()
                    except unisono.Error:
                        pass
                async def main():
                    global client
                    url, token = {server.url!r}, {server.token()!r}
                    client = await unisono.Client.open(sys.argv[1], url=url, account="anna", token=token, sync_interval=0.02)
                    await client.start()
                    threading.Thread(target=lambda: asyncio.run(forever()), daemon=True).start()
                    for n in range(5):
                        await client.collection("samples").create(f"s{{threading.get_ident()}}{{n}}", {{}})
                asyncio.run(main())
                """
            )

    async def test_a_process_may_end_while_the_library_calls_it(self) -> None:
        self.run_script(
            """
            import sys
            from unisono._native import unisono_ffi
            class Listener(unisono_ffi.EventListener):
                def on_event(self, event):
                    sum(range(20_000))
            async def main():
                global client
                client = await unisono.Client.open(sys.argv[1])
                client._client.listen(Listener())
                for n in range(30):
                    await client.collection("samples").create(f"s{n}", {})
            asyncio.run(main())
            """
        )
