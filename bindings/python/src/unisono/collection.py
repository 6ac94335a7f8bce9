"""Collections of records."""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Union

from ._native import unisono_ffi as native
from ._native.unisono import QueryPage, Record, RecordState, TextComponent
from .streams import Watch

__all__ = ["Collection", "Document", "Edit", "Order"]

Document = Mapping[str, Any]
#: A field's name, ``{"field": name, "desc": True}``, or a sequence of these.
Order = Union[str, Mapping[str, Any], Sequence[Union[str, Mapping[str, Any]]]]


class Collection:
    """A collection of records in one scope."""

    def __init__(self, collection: native.Collection) -> None:
        self._collection = collection

    def strict(self) -> Collection:
        """The same collection, whose writes apply only if nothing that they touch was changed meanwhile by another device."""
        return Collection(self._collection.strict())

    async def create(self, id: str, doc: Document) -> str:
        """Makes a record. Durable when this returns the event's id."""
        return await self._collection.create(id, doc)

    async def put(self, id: str, doc: Document, *, seen: Optional[Record] = None) -> Optional[str]:
        """Makes a record, or changes the one that is there to exactly this: only what differs is written.

        Durable when this returns the event's id; ``None`` if nothing differs.
        """
        return await self._collection.put(id, doc, seen)

    async def put_many(self, docs: Mapping[str, Document]) -> Dict[str, Optional[str]]:
        """:meth:`put` for many records, with few commits; what became of each, by id.

        Each is a write of its own, which the server judges by itself. All are checked before the first is written. If the
        storage fails half-way, to call it again does the rest.
        """
        documents = [native.Document(id=id, doc=doc) for id, doc in docs.items()]
        return dict(zip(docs, await self._collection.put_many(documents)))

    async def update(self, id: str, patch: Document, *, seen: Optional[Record] = None) -> Optional[str]:
        """Applies an RFC 7396 merge patch: ``None`` removes a field. What is there already is no edit.

        Durable when this returns the event's id; ``None`` if the patch changes nothing. ``seen`` is the read that the writer has
        seen: then the write is concurrent with whatever came after it, though a pull may have brought that meanwhile. Without it
        the write is judged by what the replica shows now.
        """
        return await self._collection.update(id, patch, seen)

    async def save(self, old: Record, new: Document) -> Optional[str]:
        """Writes what differs between ``old``, a read of a record, and ``new``, in sight of that read.

        What somebody else has changed beside it stays. Durable when this returns the event's id; ``None`` if nothing differs.
        """
        return await self._collection.save(old, new)

    def edit(self, record: Union[str, Record]) -> Edit:
        """Begins an edit of single fields: ``await samples.edit("kick-01").increment("/plays").commit()``.

        ``record`` is an id, or a read of the record that the writer has seen.
        """
        if isinstance(record, Record):
            return Edit(self._collection.edit(record.id, record))
        return Edit(self._collection.edit(record))

    async def delete(self, id: str, *, seen: Optional[Record] = None) -> str:
        """Deletes a record. Durable when this returns the event's id. ``seen`` is the read that the writer has seen."""
        return await self._collection.delete(id, seen)

    async def get(self, id: str) -> Optional[dict[str, Any]]:
        """The record's document as the app sees it: confirmed state plus its own unsettled writes."""
        return await self._collection.get(id)

    async def record(self, id: str) -> Optional[Record]:
        """The record as the app sees it: ``id``, ``doc``, ``revision`` and ``state``. A write can name it as ``seen``."""
        return await self._collection.record(id)

    async def state(self, id: str) -> Optional[RecordState]:
        """The state of a record's sync; ``None`` if there is neither a record nor an event on it."""
        return await self._collection.state(id)

    async def query(
        self,
        where: Optional[Document] = None,
        order_by: Optional[Order] = None,
        limit: Optional[int] = None,
        after: Optional[str] = None,
    ) -> List[Record]:
        """The records that ``where`` wants: ``{"category": "bd", "bpm": {"$ge": 120}}``."""
        return await self._collection.query(_options(where, order_by, limit, after))

    async def page(
        self,
        where: Optional[Document] = None,
        order_by: Optional[Order] = None,
        limit: Optional[int] = None,
        after: Optional[str] = None,
    ) -> QueryPage:
        """The same, with ``next``: what to give as ``after`` for the page that follows, or ``None``."""
        return await self._collection.page(_options(where, order_by, limit, after))

    def watch(
        self,
        where: Optional[Document] = None,
        order_by: Optional[Order] = None,
        limit: Optional[int] = None,
    ) -> Watch:
        """Follows a query: ``async for update in samples.watch(where={"category": "bd"}): …``."""
        return Watch(self._collection.watch(_options(where, order_by, limit, None)))


class Edit:
    """Field operations on one record, committed together as one event. Fields are named by JSON Pointers."""

    def __init__(self, edit: native.Edit) -> None:
        self._edit = edit

    def set(self, path: str, value: Any) -> Edit:
        """Assigns a field; an object replaces all below it."""
        return Edit(self._edit.set(path, value))

    def unset(self, path: str) -> Edit:
        """Removes a field."""
        return Edit(self._edit.unset(path))

    def increment(self, path: str, by: int = 1) -> Edit:
        """Adds to a 64-bit integer; increments of several devices all count."""
        if isinstance(by, bool):
            raise TypeError(f"an increment is a whole number, not {by}")
        return Edit(self._edit.increment(path, by))

    def add(self, path: str, values: Iterable[Any]) -> Edit:
        """Adds elements to an array used as a set."""
        return Edit(self._edit.add(path, elements(values)))

    def remove(self, path: str, values: Iterable[Any]) -> Edit:
        """Removes elements from an array used as a set."""
        return Edit(self._edit.remove(path, elements(values)))

    def text(self, path: str, edit: Sequence[Union[int, str, Mapping[str, int]]]) -> Edit:
        """Edits a text, in code points: numbers skip, strings insert, ``{"d": n}`` deletes."""
        return Edit(self._edit.text(path, [_component(component) for component in elements(edit)]))

    async def commit(self) -> Optional[str]:
        """Writes the edit. Durable when this returns the event's id; ``None`` if nothing changes."""
        return await self._edit.commit()


def elements(values: Iterable[Any]) -> List[Any]:
    """The elements of a list, a tuple or another sequence; a text or a mapping is one value, though Python iterates it."""
    if isinstance(values, (str, bytes, Mapping)):
        raise TypeError(f"a sequence of values is wanted, not one {type(values).__name__}: write [{values!r}]")
    return list(values)


def _options(where: Optional[Document], order_by: Optional[Order], limit: Optional[int], after: Optional[str]) -> Any:
    return {"where": where, "order_by": order_by, "limit": limit, "after": after}


def _component(component: Union[int, str, Mapping[str, int]]) -> Any:
    if isinstance(component, str):
        return TextComponent.INSERT(component)
    if isinstance(component, int) and not isinstance(component, bool):
        return TextComponent.SKIP(component)
    if isinstance(component, Mapping):
        return TextComponent.DELETE(component["d"])
    raise TypeError(f"a text edit is made of numbers, strings and {{'d': n}}, not of {component!r}")
