"""The client: a replica with its queue and engine."""

from __future__ import annotations

import asyncio
import datetime
import os
from typing import Any, Iterator, List, Mapping, Optional, Sequence, Set, Type, Union

from ._native import unisono_ffi as native
from ._native.unisono import Conflict, Finding, NetworkKind, Outcome, QueuedEvent, SignedOut, Status, SyncReport
from .collection import Collection, elements
from .errors import Error
from .listening import Listener, Subscription, tell
from .settings import SettingsClient
from .streams import Events
from .tokens import Token, TokensOf

__all__ = ["Client", "Workspace"]


class Client:
    """A replica with its queue and engine; :meth:`open` makes one.

    A token function runs on the event loop that opened the client. The client's methods may be awaited on any loop. After ``os.fork`` the child's copy is closed; the child may open clients of its own.
    """

    def __init__(self, client: native.Client) -> None:
        self._client = client
        # An event loop holds its tasks weakly.
        self._listening: Set[asyncio.Task[None]] = set()

    @classmethod
    async def open(
        cls,
        path: Union[str, "os.PathLike[str]"],
        url: Optional[str] = None,
        account: Optional[str] = None,
        token: Optional[Token] = None,
        *,
        claim_anonymous: bool = False,
        indexes: Optional[Mapping[str, Sequence[Sequence[str]]]] = None,
        schema: Optional[int] = None,
        sync_interval: Optional[float] = None,
    ) -> Client:
        """Opens the replica in the file ``path``; makes it if there is none. Nothing runs before :meth:`start`.
        ``":memory:"`` keeps it in memory, until it is closed. After ``storage_corrupt`` see :func:`unisono.recover`.

        Without ``url`` the client works on its replica alone. ``token`` is the token, or a function or coroutine function
        that gives one; it is asked for the first and whenever the server has refused one. ``account`` says whose replica
        this is; else the token does. A token at hand is compared whatever ``account`` says, and a function is asked while
        opening only where ``account`` is not given or the replica is sealed. ``indexes`` are the fields to index, by collection: ``{"samples": [["category", "name"]]}``.
        ``sync_interval`` is in seconds.
        """
        text = token if isinstance(token, str) else None
        source = TokensOf(token, asyncio.get_running_loop()) if callable(token) else None
        if token is not None and text is None and source is None:
            raise TypeError(f"a token is a str or a function, not {type(token).__name__}")
        options = native.ClientOptions(
            path=os.fspath(path),
            url=url,
            account=account,
            token=text,
            token_source=source,
            claim_anonymous=claim_anonymous,
            indexes=list(_indexes(indexes or {})),
            schema=schema,
            sync_interval=_duration(sync_interval),
        )
        return cls(await native.Client.open(options))

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException], _: object) -> None:
        try:
            await self.close()
        except Error:
            # It counts as closed all the same. What ended the block says more than what the end met.
            if error is None:
                raise

    def collection(self, name: str) -> Collection:
        """A collection of the account's own scope."""
        return Collection(self._client.collection(name))

    def workspace(self, id: str) -> Workspace:
        """The scope shared by the members of a workspace."""
        return Workspace(self._client.workspace(id))

    @property
    def settings(self) -> SettingsClient:
        """The account's settings; by itself the preferences: ``await client.settings.update({"ui": {"theme": "dark"}})``."""
        return SettingsClient(self._client.settings())

    async def start(self) -> None:
        """Starts background sync. Idempotent."""
        await self._client.start()

    async def sync_now(self, deadline: Optional[float] = None) -> SyncReport:
        """Syncs every scope now and waits until that is done, or until ``deadline`` seconds have passed."""
        return await self._client.sync_now(_duration(deadline))

    def status(self) -> Status:
        """The client's state; touches neither disk nor network."""
        return self._client.status()

    def events(self) -> Events:
        """What happens in the client from now on, as an asynchronous iterator."""
        return Events(self._client.events())

    def listen(self, listener: Listener) -> Subscription:
        """Tells ``listener``, a function or coroutine function, what happens in the client from now on.

        It runs on the running event loop, one event at a time. It may call the client, fail, or take its time.
        """
        task = asyncio.get_running_loop().create_task(tell(self.events(), listener))
        self._listening.add(task)
        task.add_done_callback(self._listening.discard)
        return Subscription(task)

    async def pending(self) -> List[QueuedEvent]:
        """Events that wait to be sent or answered, in queue order."""
        return await self._client.pending()

    async def parked(self) -> List[QueuedEvent]:
        """Events that were refused and wait for the app, in queue order."""
        return await self._client.parked()

    async def conflicts(self) -> List[Conflict]:
        """Open conflict notes of every scope."""
        return await self._client.conflicts()

    async def resolve(self, note: Union[Conflict, str]) -> Optional[str]:
        """Marks a conflict note as resolved, on every device; ``None`` if it is. An id alone is looked for in every scope."""
        if isinstance(note, Conflict):
            return await self._client.resolve(note.id, note.scope)
        return await self._client.resolve(note)

    async def conflict_value(self, note: Union[Conflict, str], sha256: str) -> Any:
        """The value behind a reference of a conflict note (``value_ref`` of a side, or ``base_ref``): read here where it is
        kept, else fetched once."""
        return await self._client.conflict_value(note.id if isinstance(note, Conflict) else note, sha256)

    async def outcome(self, event: str) -> Optional[Outcome]:
        """What became of an event; ``None`` if this replica never accepted it, or settled it more than about a week ago.
        Survives restarts.
        """
        return await self._client.outcome(event)

    async def settled(self, event: str) -> Outcome:
        """Waits until an event's content has left the queue or is parked; follows foldings and replacements."""
        return await self._client.settled(event)

    async def retry(self, event: str) -> None:
        """Puts a parked event, with its group, back into the queue."""
        await self._client.retry(event)

    async def discard(self, event: str) -> None:
        """Drops a parked event, with its group; the view is computed without it."""
        await self._client.discard(event)

    async def replace(self, event: str, content: Mapping[str, Any]) -> str:
        """Replaces a parked event's content and puts it back into the queue, under the id that is returned: a create gets
        ``content`` as its document, an update as its RFC 7396 merge patch.
        """
        return await self._client.replace(event, content)

    async def doctor(self) -> List[Finding]:
        """Examines the replica and the engine and says what is wrong and what to do, the worst first."""
        return await self._client.doctor()

    def pause(self) -> None:
        """Holds background sync until :meth:`resume`. Not persisted."""
        self._client.pause()

    async def suspend(self) -> None:
        """For an app that is about to be suspended: ends sync, flushes everything and releases every file lock."""
        await self._client.suspend()

    async def resume(self) -> None:
        """Takes up background sync, or a suspended replica; ``already_open`` if another process took it meanwhile."""
        await self._client.resume()

    async def enable(self) -> None:
        """Switches sync on, durably."""
        await self._client.enable()

    async def disable(self) -> None:
        """Switches sync off on this device, durably. The app goes on working on its replica."""
        await self._client.disable()

    async def claim(self, account: str) -> None:
        """Gives an anonymous replica, with all that was written in it, to an account. Possible once."""
        await self._client.claim(account)

    def set_online(self, online: bool) -> None:
        """Tells whether there is a network; ``True`` syncs at once."""
        self._client.set_online(online)

    def set_network(self, kind: NetworkKind) -> None:
        """Tells which network the device is on. Over a metered one nothing but settings is synced where the user wants Wi-Fi
        only (``cloud_sync.wifi_only``).
        """
        self._client.set_network(kind)

    def set_token(self, token: str) -> None:
        """Replaces the token, or the function that gives it, after the user has signed in again.

        While the token says that it is another account's, the client shows nothing and takes no writes (``identity_mismatch``).
        """
        self._client.set_token(token)

    async def sign_out(self) -> SignedOut:
        """Seals the replica, unsent work included, and closes the client, without waiting for the server. It opens again for
        the same account only, with a token of it.
        """
        return await self._client.sign_out()

    async def close(self) -> None:
        """Ends sync, flushes and closes the replica. Idempotent; later calls fail with ``closed``. Requests under way are
        abandoned: it does not wait for the server.
        """
        await self._client.close()


class Workspace:
    """A workspace's collections."""

    def __init__(self, workspace: native.Workspace) -> None:
        self._workspace = workspace

    async def subscribe(self) -> None:
        """Makes the workspace one of those that are synced. A write to it does the same. One that was lost is asked for again."""
        await self._workspace.subscribe()

    def collection(self, name: str) -> Collection:
        """A collection of the workspace."""
        return Collection(self._workspace.collection(name))


def _indexes(declared: Mapping[str, Sequence[Sequence[str]]]) -> Iterator[native.IndexOptions]:
    for name, indexes in declared.items():
        for fields in elements(indexes):
            if isinstance(fields, str):
                raise TypeError(f"an index is a list of fields, and a collection has a list of indexes: {{{name!r}: [[{fields!r}]]}}")
            yield native.IndexOptions(collection=name, fields=elements(fields))


def _duration(seconds: Optional[float]) -> Optional[datetime.timedelta]:
    return None if seconds is None else datetime.timedelta(seconds=seconds)
