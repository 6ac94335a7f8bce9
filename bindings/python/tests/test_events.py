"""Events and watches: iterators and listeners, slow ones, failing ones, ones that call back."""

from __future__ import annotations

import asyncio
import threading
from typing import Callable, List

import unisono
from unisono import ClientEvent, RecordState
from unisono._native import unisono_ffi

from .support import ClientCase


def name(variant: object) -> str:
    """Which variant of its type it is."""
    return type(variant).__name__.split(".")[-1]


class Watches(ClientCase):
    async def test_a_watch_follows_its_query_and_nothing_else(self) -> None:
        client = await self.local()
        samples = client.collection("samples")
        async with samples.watch(where={"category": "bd"}, order_by="name") as watch:
            self.assertEqual((await watch.__anext__()).records, [])
            await samples.create("a", {"category": "bd", "name": "b"})
            update = await watch.__anext__()
            self.assertEqual([(row.id, row.state) for row in update.records], [("a", RecordState.PENDING)])
            self.assertEqual([name(change) for change in update.changes], ["INSERTED"])
            await samples.create("other", {"category": "sn"})
            await samples.create("c", {"category": "bd", "name": "a"})
            await samples.delete("a")
            update = await watch.__anext__()
            self.assertEqual([row.id for row in update.records], ["c"])
            self.assertEqual([(c.index, c.id) for c in update.changes if isinstance(c, unisono.Change.REMOVED)], [(0, "a")])
        self.assertEqual([update async for update in watch], [])

    async def test_a_pulled_change_reaches_the_watch(self) -> None:
        desk, laptop = await self.open("desk"), await self.open("laptop")
        watch = laptop.collection("samples").watch()
        await watch.__anext__()
        await desk.collection("samples").create("kick", {"bpm": 120})
        await desk.sync_now()
        await laptop.sync_now()
        self.assertEqual([(row.doc, row.state) for row in (await watch.__anext__()).records], [({"bpm": 120}, RecordState.SYNCED)])

    async def test_a_cancelled_iteration_loses_nothing(self) -> None:
        client = await self.local()
        samples = client.collection("samples")
        watch = samples.watch()
        await watch.__anext__()
        for n in range(20):
            waiting = asyncio.ensure_future(watch.__anext__())
            await asyncio.sleep(0)
            await samples.create(f"s{n}", {})
            waiting.cancel()
            try:
                ids = [row.id for row in (await waiting).records]
            except asyncio.CancelledError:
                ids = [row.id for row in (await watch.__anext__()).records]
            self.assertEqual(len(ids), n + 1)
        await watch.aclose()

    async def test_a_loop_that_ends_cancels_whoever_watches(self) -> None:
        client = await self.local()
        watch = client.collection("samples").watch()
        await watch.__anext__()
        before = asyncio.all_tasks()
        waiting = asyncio.ensure_future(watch.__anext__())
        await asyncio.sleep(0)
        # As `asyncio.run` does at its end: every task, what the watch itself waits for among them.
        for task in asyncio.all_tasks() - before:
            task.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await waiting
        await client.collection("samples").create("kick", {})
        self.assertEqual([row.id for row in (await watch.__anext__()).records], ["kick"])
        await watch.aclose()

    async def test_a_watch_ends_without_an_error_when_the_client_is_closed_beside_writes(self) -> None:
        for attempt in range(10):
            client = await self.local(f"replica-{attempt}")
            samples = client.collection("samples")
            await samples.create("kick", {"n": 0})

            async def follow() -> int:
                return len([update async for update in samples.watch()])

            following = asyncio.ensure_future(follow())
            writes = asyncio.gather(*(samples.update("kick", {"n": n}) for n in range(1, 20)), return_exceptions=True)
            await asyncio.sleep(0)
            await client.close()
            await writes
            await asyncio.wait_for(following, 30)


class Endings(ClientCase):
    async def test_a_stream_that_is_begun_while_the_client_closes_ends(self) -> None:
        for turns in range(20):
            client = await self.local(f"a{turns}")
            await client.collection("samples").create("a", {})
            closing = asyncio.ensure_future(client.close())
            for _ in range(turns % 5):
                await asyncio.sleep(0)

            async def drain() -> None:
                async for _ in client.events():
                    pass

            await asyncio.wait_for(drain(), 30)
            await closing

    async def test_a_watch_ends_when_the_client_closes_among_writes(self) -> None:
        for n in range(10):
            client = await self.local(f"a{n}")
            samples = client.collection("samples")

            async def follow() -> None:
                async for _ in samples.watch(order_by="k"):
                    pass

            following = asyncio.ensure_future(follow())
            await samples.create("x", {"k": 0})
            writes = asyncio.gather(*(samples.update("x", {"k": k}) for k in range(20)), return_exceptions=True)
            await asyncio.sleep(0)
            await client.close()
            await writes
            await asyncio.wait_for(following, 30)


class Listeners(ClientCase):
    async def test_a_listener_hears_what_an_iterator_yields(self) -> None:
        client = await self.open()
        heard: List[ClientEvent] = []
        events = client.events()
        client.listen(heard.append)
        await client.collection("samples").create("kick", {})
        await client.sync_now()
        await client.close()
        told = [event async for event in events]
        await self.until(lambda: len(heard) >= len(told))
        # Whoever reads late is told what a sync changed before what the sync said.
        self.assertEqual(sorted(map(str, heard)), sorted(map(str, told)))
        names = [name(event) for event in told]
        self.assertEqual((names.count("SYNCED"), names.count("CHANGED")), (1, 1))

    async def test_a_listener_that_raises_hears_the_next_event_and_the_loop_hears_of_it(self) -> None:
        client = await self.local()
        complaints, heard = [], asyncio.Event()
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(str(context["exception"])))

        def listener(event: ClientEvent) -> None:
            if isinstance(event, ClientEvent.CHANGED) and event.key.record == "b":
                heard.set()
            raise ValueError("no")

        client.listen(listener)
        await client.collection("samples").create("a", {})
        await client.collection("samples").create("b", {})
        await heard.wait()
        self.assertGreaterEqual(complaints.count("no"), 3)

    async def test_a_listener_may_call_the_client_back_and_even_close_it(self) -> None:
        client = await self.local()
        samples, seen, closed = client.collection("samples"), [], asyncio.Event()

        async def listener(event: ClientEvent) -> None:
            if isinstance(event, ClientEvent.CHANGED) and not closed.is_set():
                seen.append((event.key.record, await samples.get(event.key.record), client.status().pending))
                if len(seen) < 3:
                    await samples.create(f"s{len(seen)}", {"n": len(seen)})
                else:
                    await client.close()
                    closed.set()

        client.listen(listener)
        await samples.create("s0", {"n": 0})
        await closed.wait()
        self.assertEqual(seen, [(f"s{n}", {"n": n}, n + 1) for n in range(3)])

    async def test_a_slow_listener_holds_up_nobody_and_is_told_that_it_lagged(self) -> None:
        client = await self.local()
        samples, goes_on, heard, lagged = client.collection("samples"), asyncio.Event(), [], asyncio.Event()

        async def slow(event: ClientEvent) -> None:
            await goes_on.wait()
            heard.append(event)
            if isinstance(event, ClientEvent.LAGGED):
                lagged.set()

        client.listen(slow)
        for n in range(1_100):  # more commits than a stream holds
            await samples.create(f"s{n}", {})
        self.assertEqual(heard, [])
        goes_on.set()
        await lagged.wait()

    async def test_a_cancelled_subscription_hears_nothing_more(self) -> None:
        client = await self.local()
        first: List[ClientEvent] = []
        second: List[ClientEvent] = []
        subscription = client.listen(first.append)
        client.listen(second.append)
        await client.collection("samples").create("a", {})
        await self.until(lambda: len(second) == 2 and len(first) == 2)
        subscription.cancel()
        await client.collection("samples").create("b", {})
        await self.until(lambda: len(second) == 4)
        self.assertEqual(len(first), 2)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Lets the loop run until ``condition`` holds."""

        async def holds() -> None:
            while not condition():
                await asyncio.sleep(0)

        await asyncio.wait_for(holds(), 30)


class ForeignListeners(ClientCase):
    """The library's own way of telling: on its threads. The package does not use it; other languages do."""

    async def test_one_that_raises_calls_back_or_takes_its_time_is_told_everything_in_order(self) -> None:
        client = await self.local()
        native, threads, records, done = client._client, set(), [], threading.Event()

        class Listener(unisono_ffi.EventListener):
            def on_event(self, event: ClientEvent) -> None:
                threads.add(threading.current_thread())
                if isinstance(event, ClientEvent.CHANGED):
                    records.append((event.key.record, native.status().pending > 0))
                    if len(records) == 50:
                        done.set()
                raise ValueError("no")

        native.listen(Listener())
        for n in range(50):
            await client.collection("samples").create(f"s{n}", {})
        self.assertTrue(await asyncio.get_running_loop().run_in_executor(None, done.wait, 30))
        self.assertEqual(records, [(f"s{n}", True) for n in range(50)])
        self.assertNotIn(threading.main_thread(), threads)

    async def test_a_slow_one_delays_neither_writes_nor_the_close(self) -> None:
        client = await self.local()
        goes_on, entered = threading.Event(), threading.Event()

        class Slow(unisono_ffi.EventListener):
            def on_event(self, event: ClientEvent) -> None:
                entered.set()
                goes_on.wait()

        for _ in range(4):  # more than the library has threads
            client._client.listen(Slow())
        await client.collection("samples").create("a", {})
        self.assertTrue(entered.wait(30))
        await client.collection("samples").create("b", {})
        self.assertEqual(len(await client.pending()), 2)
        await client.close()
        goes_on.set()
