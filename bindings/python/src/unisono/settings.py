"""Settings: choices by level over defaults in code."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional

from ._native import unisono_ffi as native
from ._native.unisono import Level, StorageUse
from .api_keys import ApiKeys
from .streams import Stream

__all__ = ["Settings", "SettingsClient", "SettingsWatch"]


class SettingsWatch(Stream[Dict[str, Any]]):
    """A document of settings: first as it is, then whenever it changes, here or on another device."""


class Settings:
    """A document of settings. Reads never wait for the network; a change is durable when the call returns.

    What is stored is what somebody has chosen: a default is never written, and what holds already is no choice.
    """

    def __init__(self, settings: native.Settings) -> None:
        self._settings = settings

    def at(self, level: Level) -> Settings:
        """The same document, whose changes are made at ``level``; without it they are the user's, on all devices."""
        return Settings(self._settings.at(level))

    async def get(self) -> Dict[str, Any]:
        """The whole document as it holds on this device: defaults filled in, unknown fields of newer versions as they are."""
        document: Dict[str, Any] = await self._settings.get()
        return document

    async def update(self, patch: Mapping[str, Any]) -> Optional[str]:
        """Applies an RFC 7396 merge patch: ``None`` takes a choice back. Returns the event's id; ``None`` if nothing changes.

        A value that does not fit its field is refused with ``settings_invalid``, which names each field and what it may be.
        """
        return await self._settings.update(patch)

    async def reset(self, path: str) -> bool:
        """Takes back the choice at ``path`` (a JSON Pointer or a member's name) and all below it; whether there was one.

        Without a level, the user's and this device's.
        """
        return await self._settings.reset(path)

    async def level(self, path: str) -> Level:
        """Where the value at ``path`` comes from: the narrowest level that has it."""
        return await self._settings.level(path)

    async def is_overridden(self, path: str) -> bool:
        """Whether somebody has chosen the value at ``path``."""
        return await self._settings.is_overridden(path)

    def watch(self) -> SettingsWatch:
        """Follows the document: ``async for preferences in client.settings.watch(): …``."""
        return SettingsWatch(self._settings.watch())


class SettingsClient(Settings):
    """The account's settings. By itself it is the preferences: ``analysis``, ``ui``, ``notifications``, ``cloud_sync``."""

    def __init__(self, client: native.SettingsClient) -> None:
        super().__init__(client.preferences())
        self._client = client

    @property
    def profile(self) -> Settings:
        """Who the user is: ``username``, ``email``, ``avatar_url``, ``bio``."""
        return Settings(self._client.profile())

    def group(self, name: str, defaults: Mapping[str, Any]) -> Settings:
        """Settings of the app's own, by the group's name, with the app's defaults."""
        return Settings(self._client.group(name, defaults))

    async def in_workspace(self, id: str) -> SettingsClient:
        """The same settings as a member of a workspace has them: what it gives stands between the user's choices and the
        defaults. Makes the workspace one of those that are synced.
        """
        return SettingsClient(await self._client.in_workspace(id))

    @property
    def api_keys(self) -> ApiKeys:
        """The account's API keys, with which programs that cannot sign in reach the server."""
        return ApiKeys(self._client.api_keys())

    async def storage(self) -> StorageUse:
        """How much room the account's own records take and may take (``stats``), as the server counts.

        While no server can be reached, as this replica does (``is_estimate``): what is unsent counts, what other devices have
        sent since the last sync does not, and the quota is not known.
        """
        return await self._client.storage()
