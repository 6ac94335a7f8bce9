"""What a write says it was made in sight of, what is no edit, and arguments that look right and are not."""

from __future__ import annotations

import math
from typing import Callable, List

from unisono import ErrorKind, RecordState

from .support import ClientCase, present


class Reads(ClientCase):
    async def test_a_write_in_sight_of_an_older_read_overwrites_nothing_unseen(self) -> None:
        desk, laptop = await self.open("desk"), await self.open("laptop")
        notes, theirs = desk.collection("notes"), laptop.collection("notes")
        await notes.create("n", {"body": "v0", "title": "t"})
        for client in (desk, laptop):
            await client.sync_now()
        seen = present(await notes.record("n"))
        self.assertEqual((seen.id, seen.doc, seen.revision, seen.state), ("n", {"body": "v0", "title": "t"}, 1, RecordState.SYNCED))
        self.assertEqual(await notes.query(), [seen])
        async with notes.watch() as watch:
            self.assertEqual((await watch.__anext__()).records, [seen])
        self.assertIsNone(await notes.record("nobody"))

        await theirs.update("n", {"body": "theirs"})
        for client in (laptop, desk):
            await client.sync_now()
        await notes.update("n", {"body": "mine"}, seen=seen)
        await desk.sync_now()
        [note] = await desk.conflicts()
        self.assertEqual([loser["value"] for loser in note.doc["losers"]], ["theirs"])
        self.assertEqual(present(await notes.record("n")).state, RecordState.CONFLICTED)

        strict = notes.strict()
        await strict.edit(seen).set("/title", "unseen").commit()
        self.assertEqual((await desk.sync_now()).parked, 0, "of the title nothing came after that read")
        await strict.update("n", {"body": "unseen"}, seen=seen)
        self.assertEqual((await desk.sync_now()).parked, 1)
        await self.fails("invalid_seen", ErrorKind.INVALID, notes.update("other", {}, seen=seen))

    async def test_a_save_sends_only_what_changed(self) -> None:
        client = await self.local()
        notes = client.collection("notes")
        await notes.create("n", {"body": "v0", "title": "t"})
        form = present(await notes.record("n"))
        await notes.update("n", {"title": "new"})
        self.assertIsNotNone(await notes.save(form, {**form.doc, "body": "v1"}))
        self.assertEqual(await notes.get("n"), {"body": "v1", "title": "new"})
        form = present(await notes.record("n"))
        self.assertIsNone(await notes.save(form, form.doc))
        await notes.delete("n", seen=form)
        self.assertIsNone(await notes.record("n"))


class Assertions(ClientCase):
    async def test_what_is_there_already_is_no_edit(self) -> None:
        client = await self.local()
        samples = client.collection("samples")
        docs = {f"s{n}": {"bpm": 120, "tags": ["x"]} for n in range(20)}
        written = await samples.put_many(docs)
        self.assertEqual((list(written), None in written.values()), (list(docs), False))
        self.assertEqual(set((await samples.put_many(docs)).values()), {None})
        for call in (
            samples.put("s1", docs["s1"]),
            samples.update("s1", docs["s1"]),
            samples.update("s1", {}),
            samples.update("s1", {"gone": None}),
            samples.edit("s1").set("/bpm", 120).add("/tags", ["x"]).remove("/tags", ["y"]).unset("/gone").commit(),
        ):
            self.assertIsNone(await call)
        self.assertEqual(client.status().pending, 20)
        await samples.put("s1", {"bpm": 121})
        self.assertEqual(await samples.get("s1"), {"bpm": 121})


class Arguments(ClientCase):
    async def test_what_python_would_iterate_or_count_is_refused_where_one_value_is_meant(self) -> None:
        client = await self.local()
        edit = client.collection("samples").edit("kick")
        calls: List[Callable[[], object]] = [
            lambda: edit.add("/tags", "808"),
            lambda: edit.remove("/tags", "808"),
            lambda: edit.add("/tags", {"a": 1}),
            lambda: edit.text("/name", "new"),
            lambda: edit.text("/name", [True]),
            lambda: edit.text("/name", [1.5]),  # type: ignore[list-item]
            lambda: edit.increment("/plays", True),
        ]
        for call in calls:
            with self.assertRaises(TypeError):
                call()
        with self.assertRaises(TypeError):
            await self.local("b", indexes={"samples": "category"})
        with self.assertRaises(TypeError) as caught:
            await self.local("b", indexes={"samples": ["category"]})
        self.assertIn("{'samples': [['category']]}", str(caught.exception))

    async def test_errors_name_the_field_and_what_is_allowed(self) -> None:
        client = await self.local()
        samples = client.collection("samples")
        await samples.create("kick", {"name": "Kick", "steps": [1, 2, 1]})
        for code, call, words in (
            ("invalid_number", samples.create("a", {"meta": {"peaks": [1, math.nan]}}), "/meta/peaks/1"),
            ("invalid_number", samples.update("kick", {"gain": -math.inf}), "/gain"),
            ("lone_surrogate", samples.create("a", {"title": "\ud800"}), "/title"),
            ("type_mismatch", samples.edit("kick").increment("/name").commit(), "at /name there is a text"),
            ("type_mismatch", samples.edit("kick").add("/steps", [3]).commit(), "it is a list"),
            ("invalid_query", samples.query(where={"bpm": {"$gte": 1}}), "did you mean $ge?"),
            ("invalid_query", samples.query(where={"bpm": {"$near": 1}}), "$eq, $ne, $lt, $le, $gt, $ge, $in"),
            ("invalid_query", samples.query(order_by="-due"), '{"field": "due", "desc": true}'),
        ):
            self.assertIn(words, await self.fails(code, ErrorKind.INVALID, call))
