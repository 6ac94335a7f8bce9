"""Documents are what Python says they are."""

from __future__ import annotations

import math
from typing import Any, List, Tuple

import unisono
from unisono import ErrorKind

from .support import ClientCase, present


class Values(ClientCase):
    async def test_a_record_is_compared_with_anything(self) -> None:
        samples = (await self.local("a", account="anna")).collection("samples")
        await samples.create("kick", {"bpm": 120})
        record, again = await samples.record("kick"), await samples.record("kick")
        self.assertEqual(record, again)
        self.assertFalse(record != again)
        for other in (None, "kick", 1, {"bpm": 120}):
            self.assertFalse(record == other)
            self.assertTrue(record != other)
        self.assertIn(record, [None, again])
        self.assertNotIn(None, [record])

    async def test_integers_beyond_2_to_the_53_are_exact_on_every_device(self) -> None:
        desk, laptop = await self.open("desk"), await self.open("laptop")
        edges = {"odd": 2**53 + 1, "most": 2**64 - 1, "least": -(2**63), "list": [2**53 + 1, {"deep": 2**63}]}
        await desk.collection("samples").create("loop", edges)
        await desk.collection("samples").edit("loop").increment("/odd", 2**53).commit()
        await desk.sync_now()
        await laptop.sync_now()
        got = present(await laptop.collection("samples").get("loop"))
        self.assertEqual(got, {**edges, "odd": 2**54 + 1})
        self.assertTrue(all(type(got[field]) is int for field in ("odd", "most", "least")))
        found = await laptop.collection("samples").query(where={"odd": 2**54 + 1})
        self.assertEqual([row.id for row in found], ["loop"])
        self.assertEqual(await laptop.collection("samples").query(where={"odd": 2**54}), [])

    async def test_what_json_has_comes_back_as_it_was(self) -> None:
        samples = (await self.local()).collection("samples")
        doc = {"text": "ä😀\u2028", "float": -22.44, "tiny": 5e-324, "none": None, "no": False, "nested": {"empty": {}, "list": []}}
        await samples.create("a", doc)
        self.assertEqual(await samples.get("a"), doc)
        await samples.create("b", {"whole": 5.0, "zero": -0.0, "pair": (1, 2)})
        got = present(await samples.get("b"))
        self.assertEqual((got, type(got["whole"])), ({"whole": 5, "zero": 0, "pair": [1, 2]}, int))

    async def test_what_no_backend_can_hold_is_refused_with_a_code(self) -> None:
        samples = (await self.local()).collection("samples")
        deep: object = 1
        for _ in range(65):
            deep = [deep]
        refused: List[Tuple[str, Any]] = [
            ("invalid_number", {"n": 2**64}),
            ("invalid_number", {"n": -(2**63) - 1}),
            ("invalid_number", {"n": math.nan}),
            ("invalid_number", {"n": [math.inf]}),
            ("invalid_json", {1: "one", "1": "uno"}),
            ("lone_surrogate", {"s": "\ud800"}),
            ("nul_character", {"s": "a\0"}),
            ("reserved_name", {"$ref": 1}),
            ("document_too_large", {"s": "x" * (1 << 20)}),
            ("nesting_too_deep", {"deep": deep}),
            ("not_an_object", ["a"]),
        ]
        for code, doc in refused:
            await self.fails(code, ErrorKind.INVALID, samples.create("a", doc))
        with self.assertRaises(unisono.Error) as caught:
            samples.edit("a").set("/n", 2**64)
        self.assertEqual(caught.exception.code, "invalid_number")
        self.assertEqual(await samples.query(), [])
