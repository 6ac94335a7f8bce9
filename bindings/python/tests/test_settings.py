"""Settings: what is chosen, at which level, and what is never written."""

from __future__ import annotations

import pickle

from unisono import Error, ErrorKind, FieldError, FieldRule, Level, NetworkKind, Withheld

from .support import ClientCase


class Choices(ClientCase):
    async def test_what_is_chosen_syncs_and_a_default_never_does(self) -> None:
        desk, laptop = await self.open("desk"), await self.open("laptop")
        self.assertEqual((await desk.settings.get())["ui"]["theme"], "system")
        self.assertIsNone(await desk.settings.update(await desk.settings.get()), "what holds already is no choice")
        self.assertEqual(desk.status().pending, 0)
        self.assertIsNotNone(await desk.settings.update({"ui": {"theme": "dark"}}))
        for client in (desk, laptop):
            await client.sync_now()
        self.assertEqual((await laptop.settings.get())["ui"]["theme"], "dark")
        self.assertEqual(await laptop.settings.level("/ui/theme"), Level.USER)
        self.assertFalse(await laptop.settings.is_overridden("/ui/compact"))
        self.assertTrue(await laptop.settings.reset("/ui/theme"))
        self.assertFalse(await laptop.settings.reset("/ui/theme"))

    async def test_a_choice_for_this_device_stays_on_it(self) -> None:
        desk, laptop = await self.open("desk"), await self.open("laptop")
        await desk.settings.at(Level.DEVICE).update({"ui": {"compact": True}})
        for client in (desk, laptop):
            await client.sync_now()
        self.assertTrue((await desk.settings.get())["ui"]["compact"])
        self.assertFalse((await laptop.settings.get())["ui"]["compact"])

    async def test_a_watch_tells_the_document_and_each_change(self) -> None:
        client = await self.local()
        editor = client.settings.group("editor", {"zoom": 1, "grid": {"snap": True}})
        async with editor.watch() as watch:
            self.assertEqual(await watch.__anext__(), {"zoom": 1, "grid": {"snap": True}})
            await editor.update({"grid": {"snap": False}})
            self.assertEqual(await watch.__anext__(), {"zoom": 1, "grid": {"snap": False}})

    async def test_what_does_not_fit_is_refused_with_its_path(self) -> None:
        client = await self.local()
        error = await self.fails("settings_invalid", ErrorKind.INVALID, client.settings.update({"cloud_sync": {"interval_s": 4}}))
        self.assertIn("/cloud_sync/interval_s: allowed is a whole number, 5 to 86400", str(error))
        with self.assertRaises(Error) as caught:
            await client.settings.update({"ui": {"theme": "pink"}})
        told = [FieldError(path="/ui/theme", rule=FieldRule.CHOICE, allowed="one of light, dark, system")]
        self.assertEqual((caught.exception.fields, pickle.loads(pickle.dumps(caught.exception)).fields), (told, told))
        await self.fails("settings_invalid", ErrorKind.INVALID, client.settings.profile.update({"email": "nobody"}))
        self.assertEqual(client.status().pending, 0)

    async def test_sync_that_the_user_has_switched_off_goes_on_for_settings(self) -> None:
        client = await self.open("desk")
        await client.settings.update({"cloud_sync": {"enabled": False}})
        await client.collection("samples").create("kick", {})
        await client.sync_now()
        status = client.status()
        self.assertEqual((status.pending, status.withheld), (1, Withheld.SYNC_OFF))
        await client.settings.update({"cloud_sync": {"enabled": True, "wifi_only": True}})
        client.set_network(NetworkKind.METERED)
        await client.sync_now()
        self.assertEqual(client.status().withheld, Withheld.METERED_NETWORK)
        client.set_network(NetworkKind.UNMETERED)
        await client.sync_now()
        self.assertEqual((client.status().pending, client.status().withheld), (0, None))
