"""Damaged files, full disks, and what the app can do about what does not sync."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import textwrap

import unisono
from unisono import ErrorKind, Severity

from .support import ClientCase, present


class Recovery(ClientCase):
    async def test_b35_a_damaged_replica_is_recovered_with_its_unsent_events(self) -> None:
        client = await self.local("a", account="anna")
        events = [await client.collection("samples").create(f"s{n}", {"n": n}) for n in range(20)]
        await client.close()
        path = self.path("a.db")
        with open(path, "rb") as file:
            damaged = bytearray(file.read())
        chance = random.Random(1)
        for _ in range(64):
            damaged[chance.randrange(len(damaged))] = 7
        with open(path, "wb") as file:
            file.write(damaged)
        await self.fails("storage_corrupt", ErrorKind.STORAGE, self.local("a", account="anna"))
        report = await unisono.recover(path)
        with open(report.kept_aside, "rb") as file:
            self.assertEqual(file.read(), damaged, "the damaged file is kept")
        options = {"url": self.server.url, "account": "anna", "token": self.server.token("anna")}
        again = await self.local("a", claim_anonymous=not report.identity_kept, **options)
        kept = {event.id for event in await again.pending() + await again.parked()}
        self.assertEqual(len(kept), report.events)
        self.assertGreater(report.events, 0)
        self.assertLessEqual(kept, set(events))
        self.assertFalse(kept & set(report.lost_events))
        await again.sync_now()
        self.assertEqual(again.status().pending, 0)

    async def test_b35_a_log_that_is_gone_after_a_kill_is_told_and_recovered_from(self) -> None:
        """A process writes and is killed; somebody removes the write-ahead log."""
        path = self.path("a.db")
        killed = textwrap.dedent(
            """
            import asyncio, os, signal, sys, unisono
            async def main():
                client = await unisono.Client.open(sys.argv[1], account="anna")
                for n in range(20):
                    await client.collection("samples").create(f"s{n}", {"n": n})
                os.kill(os.getpid(), signal.SIGKILL)
            asyncio.run(main())
            """
        )
        subprocess.run([sys.executable, "-c", killed, path], check=False, timeout=120)
        self.assertTrue(os.path.exists(path + "-wal"), "it did not close")
        with_log, without = self.path("b.db"), self.path("c.db")
        for suffix in ("", "-wal", ".lock"):
            shutil.copyfile(path + suffix, with_log + suffix)
            if suffix != "-wal":
                shutil.copyfile(path + suffix, without + suffix)
        client = await unisono.Client.open(with_log, account="anna")
        self.assertEqual(client.status().pending, 20)
        await client.close()
        words = await self.fails("storage_corrupt", ErrorKind.STORAGE, unisono.Client.open(without, account="anna"))
        self.assertIn("c.db-wal", words)
        report = await unisono.recover(without)
        self.assertTrue(report.log_lost)
        self.assertLess(report.events, 20)
        client = await unisono.Client.open(without, account="anna", claim_anonymous=not report.identity_kept)
        self.assertEqual(client.status().pending, report.events)
        await client.collection("samples").create("later", {})
        await client.close()

    async def test_what_cannot_be_recovered_says_so(self) -> None:
        await self.fails("storage_unavailable", ErrorKind.STORAGE, unisono.recover(self.path("nothing.db")), retryable=True)
        client = await self.local("a")
        await self.fails("already_open", ErrorKind.STORAGE, unisono.recover(self.path("a.db")))
        await client.close()

    async def test_a_replica_in_memory_makes_no_file_and_is_gone_when_it_is_closed(self) -> None:
        for n in range(2):
            async with await unisono.Client.open(":memory:", account="anna") as client:
                self.assertIsNone(await client.collection("samples").get("kick"))
                await client.collection("samples").create("kick", {"n": n})
        self.assertFalse([name for name in os.listdir(".") if name.startswith(":memory:")])


class Care(ClientCase):
    async def test_a_refused_event_is_replaced_and_applied(self) -> None:
        desk, laptop = await self.open("desk"), await self.open("laptop")
        applied = await desk.collection("samples").create("kick", {"plays": 1})
        await desk.sync_now()
        await laptop.sync_now()
        await laptop.collection("samples").update("kick", {"plays": "many"})
        await laptop.sync_now()
        # There is no number any more.
        refused = present(await desk.collection("samples").edit("kick").increment("/plays").commit())
        await desk.sync_now()
        self.assertEqual([event.id for event in await desk.parked()], [refused])
        with self.assertRaises(unisono.Error) as caught:
            await desk.replace(refused, {"plays": {"\0": 1}})
        self.assertEqual([event.id for event in await desk.parked()], [refused], str(caught.exception))
        new = await desk.replace(refused, {"plays": 7})
        self.assertNotEqual(new, refused)
        self.assertEqual(await desk.parked(), [])
        await desk.sync_now()
        await laptop.sync_now()
        self.assertEqual(await laptop.collection("samples").get("kick"), {"plays": 7})
        for settled in (applied, refused):
            with self.assertRaises(unisono.Error) as caught:
                await desk.replace(settled, {"plays": 1})
            self.assertEqual(caught.exception.code, "event_state")

    async def test_the_doctor_says_what_is_wrong_and_what_to_do(self) -> None:
        client = await self.local("a")
        self.assertEqual([(f.severity, f.code) for f in await client.doctor()][0], (Severity.PROBLEM, "anonymous"))
        await client.claim("anna")
        await client.disable()
        findings = {finding.code: finding for finding in await client.doctor()}
        self.assertNotIn("anonymous", findings)
        self.assertIn("enable", findings["disabled"].message)
        await client.enable()
        client.pause()
        codes = [finding.code for finding in await client.doctor()]
        self.assertTrue("paused" in codes and "disabled" not in codes, codes)
        await client.resume()
        self.assertNotIn("paused", [finding.code for finding in await client.doctor()])

    async def test_a_suspended_replica_releases_its_file_until_it_resumes(self) -> None:
        client = await self.local("a", account="anna")
        await client.collection("samples").create("kick", {})
        await client.suspend()
        await self.fails("suspended", ErrorKind.STORAGE, client.collection("samples").get("kick"), retryable=True)
        async with await unisono.Client.open(self.path("a.db"), account="anna") as other:
            self.assertEqual(await other.collection("samples").get("kick"), {})
        await client.resume()
        self.assertEqual(await client.collection("samples").get("kick"), {})
