"""The calls that an app makes most, against a real server."""

from __future__ import annotations

import asyncio
import copy
import datetime
import itertools
import pathlib
import pickle
import traceback
import unittest
from typing import Any

import unisono
from unisono import ErrorKind, RecordState, SyncState

from .support import ClientCase, library, present


class Collections(ClientCase):
    async def test_two_replicas_of_a_real_library_end_in_unison(self) -> None:
        desk, laptop = await self.open("desk"), await self.open("laptop", indexes={"samples": [["category", "name"]]})
        samples = desk.collection("samples")
        real = list(itertools.islice(library(), 40))
        for sample in real:
            await samples.create(sample["file"], sample)
        report = await desk.sync_now()
        self.assertEqual((report.pushed, report.conflicts, report.parked), (40, 0, 0))
        self.assertEqual((await laptop.sync_now()).pulled, 40)

        theirs = laptop.collection("samples")
        self.assertEqual([row.doc for row in await theirs.query(order_by="file")], sorted(real, key=lambda s: s["file"]))
        drums = await theirs.query(where={"category": "bass"}, order_by={"field": "name", "desc": True}, limit=3)
        expected = sorted((s["name"] for s in real if s["category"] == "bass"), reverse=True)[:3]
        self.assertEqual([row.doc["name"] for row in drums], expected)

    async def test_a_record_lives_through_its_calls(self) -> None:
        client = await self.open()
        samples = client.collection("samples")
        self.assertIsNone(await samples.get("kick"))
        created = await samples.create("kick", {"name": "Kick", "bpm": 120, "tags": ["808"], "note": None})
        await samples.update("kick", {"bpm": 128, "note": None})
        edit = samples.edit("kick").increment("/plays").add("/tags", ["deep"]).remove("/tags", ["808"])
        await edit.set("/meta", {"source": "field"}).text("/name", [4, " drum"]).unset("/bpm").commit()
        self.assertEqual(
            await samples.get("kick"),
            {"name": "Kick drum", "tags": ["deep"], "plays": 1, "meta": {"source": "field"}},
        )
        self.assertEqual(await samples.state("kick"), RecordState.PENDING)
        self.assertEqual([event.key.record for event in await client.pending()], ["kick"], "folded into the create")
        await client.sync_now()
        self.assertTrue((await client.settled(created)).is_APPLIED())
        self.assertEqual(await samples.state("kick"), RecordState.SYNCED)
        self.assertEqual((client.status().pending, await client.pending(), await client.parked()), (0, [], []))
        await samples.delete("kick")
        self.assertIsNone(await samples.get("kick"))

    async def test_a_page_says_where_the_next_one_begins(self) -> None:
        client = await self.local()
        samples = client.collection("samples")
        for n in range(5):
            await samples.create(f"s{n}", {"n": n})
        first = await samples.page(order_by="n", limit=3)
        second = await samples.page(order_by="n", limit=3, after=first.next)
        self.assertEqual([[row.id for row in page.records] for page in (first, second)], [["s0", "s1", "s2"], ["s3", "s4"]])
        self.assertIsNone(second.next)

    async def test_a_workspace_is_shared(self) -> None:
        token = self.server.token("anna", "--workspace", "band")
        anna, bob = await self.open("a", token=token), await self.open("b", token=self.server.token("bob", "--workspace", "band"))
        await anna.workspace("band").collection("samples").create("loop", {"bpm": 90})
        await anna.sync_now()
        await bob.workspace("band").subscribe()
        await bob.sync_now()
        self.assertEqual(await bob.workspace("band").collection("samples").get("loop"), {"bpm": 90})

    async def test_a_scope_that_is_lost_keeps_its_events_and_says_why(self) -> None:
        client = await self.open()
        # No member of this workspace: its writes are kept, and told.
        await client.workspace("strangers").collection("samples").create("loop", {"bpm": 90})
        await client.collection("samples").create("kick", {"bpm": 120})
        with self.assertRaises(unisono.Error):
            await client.sync_now()
        self.assertEqual(present(client.status().scopes["workspace:strangers"].last_error).split(":")[0], "scope_not_found")
        self.assertEqual([event.key.record for event in await client.pending()], ["loop"])

    async def test_a_workspace_that_was_lost_comes_back_with_a_new_token(self) -> None:
        inside, outside = self.server.token("anna", "--workspace", "band"), self.server.token("anna")
        client = await self.open(token=inside)
        songs = client.workspace("band").collection("songs")
        await songs.create("one", {})
        await client.sync_now()
        client.set_token(outside)
        await songs.create("two", {})
        await self.fails("scope_lost", ErrorKind.AUTH, client.sync_now())
        self.assertEqual((await client.sync_now()).lost, ["workspace:band"])
        await self.fails("scope_lost", ErrorKind.AUTH, songs.create("three", {}))
        client.set_token(inside)
        await songs.create("three", {})
        self.assertEqual(((await client.sync_now()).pushed, client.status().pending), (2, 0))


class Lifecycle(ClientCase):
    async def test_a_closed_client_says_so_and_closes_again(self) -> None:
        client = await self.local()
        samples, watch, events = client.collection("samples"), client.collection("samples").watch(), client.events()
        await watch.__anext__()
        await client.close()
        await client.close()
        for call in (samples.get("a"), samples.create("a", {}), samples.query(), client.sync_now(), client.start(), client.pending()):
            await self.fails("closed", ErrorKind.CLOSED, call)
        self.assertEqual([update async for update in watch], [])
        self.assertEqual([event async for event in events], [])
        client.status()

    async def test_a_with_block_closes_what_it_opened_and_the_file_opens_again(self) -> None:
        path = pathlib.Path(self.path("library.db"))
        async with await unisono.Client.open(path) as client:
            await client.collection("samples").create("kick", {"bpm": 120})
            await self.fails("already_open", ErrorKind.STORAGE, unisono.Client.open(path))
        async with await unisono.Client.open(path) as client:
            self.assertEqual(await client.collection("samples").get("kick"), {"bpm": 120})

    async def test_a_workspaces_conflict_tells_its_scope_and_is_resolved(self) -> None:
        token = self.server.token("anna", "--workspace", "band")
        desk, laptop = await self.open("desk", token=token), await self.open("laptop", token=token)
        await laptop.workspace("band").subscribe()
        await desk.workspace("band").collection("songs").create("song", {"title": "one"})
        for client in (desk, laptop):
            await client.sync_now()
        for client, title in ((desk, "desk's"), (laptop, "laptop's")):
            await client.workspace("band").collection("songs").update("song", {"title": title})
        for client in (desk, laptop, desk):
            await client.sync_now()
        [note] = await desk.conflicts()
        self.assertEqual((note.scope, note.collection, note.record, note.path), ("workspace:band", "songs", "song", "/title"))
        self.assertEqual(len(note.doc["losers"]), 1)
        await desk.resolve(note)
        # Another device finds it by its id.
        await laptop.resolve(note.id)
        for client in (desk, laptop):
            await client.sync_now()
        self.assertEqual((await desk.conflicts(), await laptop.conflicts()), ([], []))

    async def test_background_sync_carries_a_write(self) -> None:
        client = await self.open()
        self.assertEqual((client.status().state, client.status().started), (SyncState.IDLE(), False))
        await client.start()
        self.assertTrue(client.status().started)
        event = await client.collection("samples").create("kick", {"bpm": 120})
        self.assertTrue((await client.settled(event)).is_APPLIED())

    async def test_signing_out_seals_what_is_unsent(self) -> None:
        client = await self.local(account="anna")
        await client.collection("samples").create("kick", {})
        report = await client.sign_out()
        self.assertEqual((report.pending, report.parked), (1, 0))
        await self.fails("identity_mismatch", ErrorKind.AUTH, self.local(account="bob"))
        words = await self.fails("sealed", ErrorKind.CLOSED, self.local(account="anna"))
        self.assertIn("open it with a token", words)
        await self.fails("identity_mismatch", ErrorKind.AUTH, self.local(account="anna", token=self.server.token("bob")))
        again = await self.local(token=self.server.token("anna"))
        self.assertEqual(again.status().pending, 1)

    async def test_another_account_s_token_opens_nothing_and_is_shown_nothing(self) -> None:
        client = await self.open()
        await client.collection("samples").create("secret", {})
        bobs = self.server.token("bob")
        client.set_token(bobs)
        for call in (client.collection("samples").get("secret"), client.collection("samples").create("b", {}), client.sync_now()):
            await self.fails("identity_mismatch", ErrorKind.AUTH, call)
        await client.close()
        for account in (None, "anna"):
            await self.fails("identity_mismatch", ErrorKind.AUTH, self.open(account=account, token=bobs))

    async def test_neither_close_nor_sign_out_waits_for_a_silent_server(self) -> None:
        async def says_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked.set()
            await ended.wait()
            writer.close()

        ended = asyncio.Event()
        self.addCleanup(ended.set)
        server = await asyncio.start_server(says_nothing, "127.0.0.1", 0)
        url = "http://127.0.0.1:%d" % server.sockets[0].getsockname()[1]
        for name, end in (("a", unisono.Client.close), ("b", unisono.Client.sign_out)):
            asked = asyncio.Event()
            client = await self.open(name, url=url, account="anna", token="t")
            sync = asyncio.ensure_future(client.sync_now())
            await asked.wait()
            # Far below the 30 s after which a request is given up.
            await asyncio.wait_for(end(client), 10)
            await self.fails("closed", ErrorKind.CLOSED, sync)

    async def test_what_ends_a_with_block_is_not_hidden_by_a_close_that_fails(self) -> None:
        async def fails() -> None:
            await closes()
            raise full

        with self.assertRaises(unisono.Error) as failure:
            await (await self.local("other")).collection("samples").get("")
        full = failure.exception  # one of the library's errors, whichever
        for error in (KeyError("the app's own"), None):
            client = await self.local("a")
            closes = client.close
            setattr(client, "close", fails)
            with self.assertRaises(type(error or full)) as caught:
                async with client:
                    if error:
                        raise error
            self.assertIs(caught.exception, error or full)


class Errors(ClientCase):
    async def test_an_error_is_copied_and_crosses_processes(self) -> None:
        client = await self.local("a", account="anna")
        with self.assertRaises(unisono.Error) as caught:
            await client.collection("samples").update("kick", {"bpm": 1})
        error = caught.exception
        for other in (copy.copy(error), pickle.loads(pickle.dumps(error))):
            self.assertIsInstance(other, unisono.Error)
            fields = [(e.code, e.kind, e.retryable, e.detail, str(e)) for e in (error, other)]
            self.assertEqual(fields[0], fields[1])
        self.assertEqual(traceback.format_exception_only(type(error), error), [f"unisono.Error: {error}\n"])

    async def test_a_sync_without_a_server_says_how_to_have_one(self) -> None:
        client = await self.local("a", account="anna")
        words = await self.fails("auth_required", ErrorKind.AUTH, client.sync_now())
        self.assertIn("URL", words)

    async def test_errors_tell_code_kind_and_whether_to_retry(self) -> None:
        client = await self.local(url="http://127.0.0.1:9", account="anna", token="t")
        samples = client.collection("samples")
        await samples.create("kick", {"name": "Kick"})
        words = await self.fails("already_exists", ErrorKind.CONFLICT, samples.create("kick", {}))
        self.assertEqual(words, "the record samples/kick exists already (already_exists)")
        await self.fails("not_found", ErrorKind.CONFLICT, samples.update("snare", {"a": 1}))
        await self.fails("type_mismatch", ErrorKind.INVALID, samples.edit("kick").increment("/name").commit())
        await self.fails("invalid_query", ErrorKind.INVALID, samples.query(where={"a": {"$near": 1}}))
        await self.fails("reserved_name", ErrorKind.INVALID, client.collection("$settings").get("a"))
        await self.fails("invalid_id", ErrorKind.INVALID, samples.get(""))
        await self.fails("unreachable", ErrorKind.OFFLINE, client.sync_now(), retryable=True)
        await self.fails("event_state", ErrorKind.CONFLICT, client.retry("01a20884-2875-7f9c-9814-f5859a81bad5"))
        with self.assertRaises(unisono.Error) as caught:
            samples.watch(where={"a": {"$near": 1}})
        self.assertEqual(caught.exception.code, "invalid_query")

    async def test_a_client_that_cannot_be_opened_says_why(self) -> None:
        await self.fails("invalid_config", ErrorKind.INVALID, self.local(url="ftp://example.com"))
        await self.fails("storage_unavailable", ErrorKind.STORAGE, self.local("no/such/folder"), retryable=True)

    async def test_arguments_of_a_wrong_type_are_type_errors_and_nothing_is_written(self) -> None:
        client = await self.local()
        samples = client.collection("samples")
        wrong: Any = {"id": 7, "limit": object(), "deadline": "soon", "token": 7, "by": "one"}
        for call in (
            lambda: samples.create(wrong["id"], {}),
            lambda: samples.create("a", {"when": datetime.date.today()}),
            lambda: samples.create("a", {"raw": b"bytes"}),
            lambda: samples.query(limit=wrong["limit"]),
            lambda: client.sync_now(wrong["deadline"]),
        ):
            with self.assertRaises(TypeError):
                await call()
        with self.assertRaises(TypeError):
            await unisono.Client.open(self.path("b.db"), token=wrong["token"])
        with self.assertRaises(TypeError):
            samples.edit("a").increment("/plays", wrong["by"])
        self.assertEqual(client.status().pending, 0)


if __name__ == "__main__":
    unittest.main()
