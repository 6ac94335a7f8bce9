"""API keys and storage: what only the server has."""

from __future__ import annotations

import datetime

import unisono
from unisono import ErrorKind, KeyPermission, KeyProvider

from .support import ClientCase

READ_WRITE = [KeyPermission.READ, KeyPermission.WRITE]


class Keys(ClientCase):
    async def test_a_key_opens_the_account_until_it_is_off_or_gone(self) -> None:
        owner = await self.open("desk")
        keys = owner.settings.api_keys
        made = await keys.create("Sampler", provider=KeyProvider.PLUGIN, permissions=READ_WRITE)
        self.assertEqual((made.key.name, made.key.provider, made.key.permissions), ("Sampler", KeyProvider.PLUGIN, READ_WRITE))

        plugin = await self.open("plugin", account="anna", token=made.secret.reveal())
        await plugin.collection("samples").create("kick", {"bpm": 120})
        self.assertEqual((await plugin.sync_now()).pushed, 1)
        await self.fails("forbidden", ErrorKind.AUTH, plugin.settings.api_keys.list())

        self.assertEqual((await keys.rename(made.key.key_id, "Old sampler")).name, "Old sampler")
        self.assertFalse((await keys.set_active(made.key.key_id, False)).is_active)
        await self.fails("auth_required", ErrorKind.AUTH, plugin.sync_now())
        await keys.set_active(made.key.key_id, True)
        await plugin.sync_now()
        told = [(key.key_id, key.name, key.last_used is not None) for key in await keys.list()]
        self.assertEqual(told, [(made.key.key_id, "Old sampler", True)])
        await keys.delete(made.key.key_id)
        self.assertEqual(await keys.list(), [])
        await self.fails("auth_required", ErrorKind.AUTH, plugin.sync_now())

    async def test_a_rotated_secret_goes_on_for_as_long_as_was_said(self) -> None:
        keys = (await self.open("desk")).settings.api_keys
        first = await keys.create("Sampler")
        second = await keys.rotate(first.key.key_id, overlap=3600)
        for number, secret in enumerate([first.secret, second.secret]):
            await (await self.open(f"both {number}", account="anna", token=secret.reveal())).sync_now()
        third = await keys.rotate(first.key.key_id)
        for number, secret in enumerate([first.secret, second.secret]):
            late = await self.open(f"late {number}", account="anna", token=secret.reveal())
            await self.fails("auth_required", ErrorKind.AUTH, late.sync_now())
        await (await self.open("third", account="anna", token=third.secret.reveal())).sync_now()

    async def test_a_secret_is_shown_to_whoever_asks_for_it_and_to_nobody_else(self) -> None:
        made = await (await self.open("desk")).settings.api_keys.create("Sampler")
        self.assertTrue(made.secret.reveal().startswith("unisono_custom_"))
        for shown in (repr(made), str(made), f"{made.secret}", repr(made.secret), repr([made])):
            self.assertNotIn(made.secret.reveal(), shown)
            self.assertIn("[redacted]", shown)
        self.assertNotIn(made, [None, 1])

    async def test_a_key_ends_at_an_instant_with_a_time_zone(self) -> None:
        keys = (await self.open("desk")).settings.api_keys
        end = datetime.datetime(2124, 7, 1, 14, 30, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))
        made = await keys.create("Guest", expires_at=end)
        self.assertEqual(made.key.expires_at, 4_875_510_600_000)
        with self.assertRaisesRegex(TypeError, "time zone"):
            await keys.create("Guest", expires_at=datetime.datetime(2124, 7, 1))
        past = keys.create("Guest", expires_at=datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc))
        self.assertIn("/expires_at", await self.fails("settings_invalid", ErrorKind.REJECTED, past))

    async def test_without_a_network_keys_are_offline(self) -> None:
        client = await self.open("desk")
        keys = client.settings.api_keys
        self.server.stop()
        for call in (keys.list(), keys.create("Sampler"), keys.rotate("k"), keys.rename("k", "b"), keys.delete("k")):
            await self.fails("offline", ErrorKind.OFFLINE, call, retryable=True)


class Storage(ClientCase):
    async def test_storage_is_what_the_server_counts_and_an_estimate_without_it(self) -> None:
        client = await self.open("desk")
        await client.collection("samples").create("kick", {"bpm": 120})
        await client.sync_now()
        counted = await client.settings.storage()
        self.assertFalse(counted.is_estimate)
        samples = unisono.CollectionStorage(collection="samples", records=1, bytes=len('{"bpm":120}'))
        self.assertEqual((counted.stats.collections, counted.stats.storage_used), ([samples], samples.bytes))
        self.server.stop()
        await client.collection("samples").create("snare", {"bpm": 90})
        estimate = await client.settings.storage()
        self.assertTrue(estimate.is_estimate)
        self.assertEqual((estimate.stats.collections[0].records, estimate.stats.storage_quota), (2, None))
