"""The account's API keys: credentials for programs that cannot sign in."""

from __future__ import annotations

import datetime
from typing import List, Optional, Sequence

from ._native import unisono_ffi as native
from ._native.unisono import ApiKey, KeyPermission, KeyProvider, NewApiKey
from ._native.unisono_ffi import IssuedApiKey, Secret

__all__ = ["ApiKeys", "IssuedApiKey", "Secret"]


class ApiKeys:
    """The account's API keys. They live at the server alone: without a network every call fails with ``offline``."""

    def __init__(self, keys: native.ApiKeys) -> None:
        self._keys = keys

    async def create(
        self,
        name: str,
        *,
        provider: KeyProvider = KeyProvider.CUSTOM,
        permissions: Sequence[KeyPermission] = (KeyPermission.READ,),
        expires_at: Optional[datetime.datetime] = None,
    ) -> IssuedApiKey:
        """Makes a key: its ``key``, and its ``secret``, which no later call tells again (``issued.secret.reveal()``).

        If the answer is lost, the key may exist nevertheless: :meth:`list` shows it, and since nobody knows its secret, it can
        only be deleted or rotated. ``expires_at`` has a time zone.
        """
        end = None if expires_at is None else _milliseconds(expires_at)
        return await self._keys.create(NewApiKey(name=name, provider=provider, permissions=list(permissions), expires_at=end))

    async def list(self) -> List[ApiKey]:
        """All keys, oldest first, without their secrets. Times are milliseconds since the Unix epoch."""
        return await self._keys.list()

    async def rename(self, key_id: str, name: str) -> ApiKey:
        """Gives a key another name."""
        return await self._keys.rename(key_id, name)

    async def set_active(self, key_id: str, active: bool) -> ApiKey:
        """Switches a key on or off. One that is off is refused from then on."""
        return await self._keys.set_active(key_id, active)

    async def rotate(self, key_id: str, overlap: float = 0) -> IssuedApiKey:
        """Gives a key a new secret. The one before stays good for ``overlap`` seconds, at most a week, so that programs can
        change over one by one.
        """
        return await self._keys.rotate(key_id, datetime.timedelta(seconds=overlap))

    async def delete(self, key_id: str) -> None:
        """Deletes a key, for good."""
        await self._keys.delete(key_id)


def _milliseconds(instant: datetime.datetime) -> int:
    if instant.tzinfo is None:
        raise TypeError("an instant has a time zone: datetime.now(timezone.utc) + …")
    return int(instant.timestamp() * 1000)
