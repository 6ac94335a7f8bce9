"""Unisono: an offline-first sync SDK for asyncio.

An app writes to a local replica and goes on working with no network; every device and the server end in unison::

    async with await unisono.Client.open(path="library.db", url="https://sync.example.com", token=token) as client:
        samples = client.collection("samples")
        await samples.create("kick-01", {"name": "Kick", "bpm": 120})
        await samples.update("kick-01", {"bpm": 128})
        report = await client.sync_now()

A document is made of ``dict``, ``list``, ``str``, ``int``, ``float``, ``bool`` and ``None``; integers of 64 bits are exact.
Whatever fails raises :class:`Error`, with a stable ``code``, a ``kind`` and ``retryable``.
"""

from ._native.unisono import (
    ApiKey,
    Change,
    ClientEvent,
    CollectionStorage,
    Conflict,
    ErrorKind,
    FieldError,
    FieldRule,
    Finding,
    KeyPermission,
    KeyProvider,
    Level,
    NetworkKind,
    Outcome,
    QueryPage,
    QueuedEvent,
    Record,
    RecordState,
    RecoveryReport,
    Severity,
    SignedOut,
    Status,
    StorageStats,
    StorageUse,
    SyncReport,
    SyncState,
    TokenReason,
    WatchUpdate,
    Withheld,
)
from . import values as _values  # noqa: F401 - what it does to the classes above
from .api_keys import ApiKeys, IssuedApiKey, Secret
from .client import Client, Workspace
from .collection import Collection, Edit
from .errors import Error
from .listening import Subscription
from .recovery import recover
from .settings import Settings, SettingsClient, SettingsWatch
from .streams import Events, Watch

__all__ = [
    "ApiKey",
    "ApiKeys",
    "Change",
    "Client",
    "ClientEvent",
    "Collection",
    "CollectionStorage",
    "Conflict",
    "Edit",
    "Error",
    "ErrorKind",
    "Events",
    "FieldError",
    "FieldRule",
    "Finding",
    "IssuedApiKey",
    "KeyPermission",
    "KeyProvider",
    "Level",
    "NetworkKind",
    "Outcome",
    "QueryPage",
    "QueuedEvent",
    "Record",
    "RecordState",
    "RecoveryReport",
    "Secret",
    "Settings",
    "SettingsClient",
    "SettingsWatch",
    "Severity",
    "SignedOut",
    "Status",
    "StorageStats",
    "StorageUse",
    "Subscription",
    "SyncReport",
    "SyncState",
    "TokenReason",
    "Watch",
    "WatchUpdate",
    "Withheld",
    "Workspace",
    "recover",
]
