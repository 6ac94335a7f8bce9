"""Plays the scenarios that all languages play (their form: ``tests/scenarios/README.md``)."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any, Awaitable, Callable, Dict, Optional

import unisono

from .support import ROOT, ClientCase


def text(value: Any) -> str:
    """The canonical text, by which values are compared."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def written_out(value: Any) -> Any:
    """Writes out what stands for a repeated text."""
    if isinstance(value, dict):
        if "$times" in value:
            return value["text"] * value["$times"]
        return {name: written_out(member) for name, member in value.items()}
    return [written_out(item) for item in value] if isinstance(value, list) else value


class Device:
    def __init__(self, client: unisono.Client) -> None:
        self.client = client
        self.watches: Dict[str, unisono.Watch] = {}
        self.reads: Dict[str, unisono.Record] = {}

    async def take(self, step: Dict[str, Any]) -> Any:
        """Takes a step; what it gives, where that is compared."""
        collection = self.client.collection(step.get("collection", "samples"))
        return await getattr(self, f"do_{step['do']}")(step, collection.strict() if step.get("strict") else collection)

    def seen(self, step: Dict[str, Any]) -> Optional[unisono.Record]:
        """The read that the step's writer has seen."""
        return self.reads[step["seen"]] if "seen" in step else None

    async def do_create(self, step: Dict[str, Any], samples: unisono.Collection) -> None:
        await samples.create(step["id"], step["doc"])

    async def do_put(self, step: Dict[str, Any], samples: unisono.Collection) -> bool:
        return await samples.put(step["id"], step["doc"], seen=self.seen(step)) is not None

    async def do_put_many(self, step: Dict[str, Any], samples: unisono.Collection) -> Any:
        return {id: event is not None for id, event in (await samples.put_many(step["docs"])).items()}

    async def do_update(self, step: Dict[str, Any], samples: unisono.Collection) -> bool:
        return await samples.update(step["id"], step["patch"], seen=self.seen(step)) is not None

    async def do_save(self, step: Dict[str, Any], samples: unisono.Collection) -> bool:
        return await samples.save(self.reads[step["seen"]], step["doc"]) is not None

    async def do_edit(self, step: Dict[str, Any], samples: unisono.Collection) -> bool:
        edit = samples.edit(self.seen(step) or step["id"])
        for op in step["ops"]:
            kind = "increment" if op["op"] == "inc" else op["op"]
            edit = getattr(edit, kind)(*(op[field] for field in ("path", "value", "by", "values", "edit") if field in op))
        return await edit.commit() is not None

    async def do_delete(self, step: Dict[str, Any], samples: unisono.Collection) -> None:
        await samples.delete(step["id"], seen=self.seen(step))

    async def do_record(self, step: Dict[str, Any], samples: unisono.Collection) -> Any:
        record = await samples.record(step["id"])
        if record is None:
            return None
        self.reads[step.get("name", "")] = record
        told = {"doc": record.doc, "state": record.state.name.lower()}
        return {field: told[field] for field in step.get("expect", {})}

    async def do_get(self, step: Dict[str, Any], samples: unisono.Collection) -> Any:
        return await samples.get(step["id"])

    async def do_query(self, step: Dict[str, Any], samples: unisono.Collection) -> Any:
        return [row.id for row in await samples.query(**step["options"])]

    async def do_watch(self, step: Dict[str, Any], samples: unisono.Collection) -> None:
        self.watches[step["name"]] = samples.watch(**step["options"])

    async def do_next(self, step: Dict[str, Any], _: unisono.Collection) -> Any:
        return [row.id for row in (await self.watches[step["name"]].__anext__()).records]

    async def do_sync(self, step: Dict[str, Any], _: unisono.Collection) -> Any:
        report = await self.client.sync_now()
        return {field: getattr(report, field) for field in step.get("expect", {})}

    async def do_status(self, step: Dict[str, Any], _: unisono.Collection) -> Any:
        status = self.client.status()
        told = {"pending": status.pending, "parked": status.parked, "state": type(status.state).__name__.split(".")[-1].lower()}
        told["withheld"] = status.withheld.name.lower() if status.withheld else None
        return {field: told[field] for field in step["expect"]}

    async def do_conflicts(self, step: Dict[str, Any], _: unisono.Collection) -> Any:
        notes = await self.client.conflicts()
        return sorted(({field: getattr(note, field) for field in ("collection", "record", "path")} for note in notes), key=text)

    async def open_note(self, step: Dict[str, Any]) -> unisono.Conflict:
        """The one open note on a step's record and path."""
        wanted = (step["record"], step["path"])
        notes = [note for note in await self.client.conflicts() if (note.record, note.path) == wanted]
        return notes[0]

    async def do_conflict_value(self, step: Dict[str, Any], _: unisono.Collection) -> Any:
        note = await self.open_note(step)
        return await self.client.conflict_value(note, note.doc["losers"][0]["value_ref"]["sha256"])

    async def do_resolve(self, step: Dict[str, Any], _: unisono.Collection) -> None:
        await self.client.resolve(await self.open_note(step))

    def settings(self, step: Dict[str, Any]) -> unisono.Settings:
        """The settings that a step is about: the preferences, or the app's group that it names, with its defaults."""
        client = self.client.settings
        document = client.group(step["name"], step["doc"]) if "name" in step else client
        return document.at(unisono.Level[step["level"].upper()]) if "level" in step else document

    async def do_choose(self, step: Dict[str, Any], _: unisono.Collection) -> bool:
        return await self.settings(step).update(step["patch"]) is not None

    async def do_reset(self, step: Dict[str, Any], _: unisono.Collection) -> bool:
        return await self.settings(step).reset(step["path"])

    async def do_setting(self, step: Dict[str, Any], _: unisono.Collection) -> Any:
        settings, path = self.settings(step), step["path"]
        value = functools.reduce(lambda within, name: within[name], path.split("/")[1:], await settings.get())
        return {"value": value, "level": (await settings.level(path)).name.lower()}

    async def do_close(self, step: Dict[str, Any], _: unisono.Collection) -> None:
        await self.client.close()

    async def do_state(self, step: Dict[str, Any], samples: unisono.Collection) -> Any:
        return {row.id: row.doc for row in await samples.query()}


class Scenarios(ClientCase):
    """A test for each file in the folder of scenarios."""

    async def play(self, file: Path) -> None:
        scenario = written_out(json.loads(file.read_text("utf-8")))
        token = self.server.token(scenario["account"])

        async def device(name: str) -> Device:
            return Device(await self.open(name, account=scenario["account"], token=token))

        devices = {name: await device(name) for name in scenario["devices"]}
        for number, step in enumerate(scenario["steps"], 1):
            place = f"step {number}: {step['do']} on {step['device']}"
            if step["do"] == "reopen":
                devices[step["device"]] = await device(step["device"])
                continue
            try:
                given = await devices[step["device"]].take(step)
            except unisono.Error as error:
                told = {"code": error.code, "kind": error.kind.name.lower(), "retryable": error.retryable}
                self.assertEqual(text(told), text(step.get("error")), f"{place}: {error}")
            else:
                self.assertNotIn("error", step, f"{place} did not fail, it gave {given!r}")
                if "expect" in step:
                    self.assertEqual(text(given), text(step["expect"]), place)


def _playing(file: Path) -> Callable[[Scenarios], Awaitable[None]]:
    async def test(case: Scenarios) -> None:
        await case.play(file)

    return test


for _file in sorted((ROOT / "tests" / "scenarios").glob("*.json")):
    setattr(Scenarios, f"test_{_file.stem}", _playing(_file))
