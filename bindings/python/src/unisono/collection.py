"""Collections of records."""

from __future__ import annotations

from typing import Any, Iterable, List, Mapping, Optional, Sequence, Union

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

    async def create(self, id: str, doc: Document) -> str:
        """Makes a record. Durable when this returns the event's id."""
        return await self._collection.create(id, doc)

    async def update(self, id: str, patch: Document) -> str:
        """Applies an RFC 7396 merge patch: ``None`` removes a field. Durable when this returns the event's id."""
        return await self._collection.update(id, patch)

    def edit(self, id: str) -> Edit:
        """Begins an edit of single fields: ``await samples.edit("kick-01").increment("/plays").commit()``."""
        return Edit(self._collection.edit(id))

    async def delete(self, id: str) -> str:
        """Deletes a record. Durable when this returns the event's id."""
        return await self._collection.delete(id)

    async def get(self, id: str) -> Optional[dict[str, Any]]:
        """The record as the app sees it: confirmed state plus its own unsettled writes."""
        return await self._collection.get(id)

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
        return Edit(self._edit.increment(path, by))

    def add(self, path: str, values: Iterable[Any]) -> Edit:
        """Adds elements to an array used as a set."""
        return Edit(self._edit.add(path, list(values)))

    def remove(self, path: str, values: Iterable[Any]) -> Edit:
        """Removes elements from an array used as a set."""
        return Edit(self._edit.remove(path, list(values)))

    def text(self, path: str, edit: Sequence[Union[int, str, Mapping[str, int]]]) -> Edit:
        """Edits a text, in code points: numbers skip, strings insert, ``{"d": n}`` deletes."""
        return Edit(self._edit.text(path, [_component(component) for component in edit]))

    async def commit(self) -> str:
        """Writes the edit. Durable when this returns the event's id."""
        return await self._edit.commit()


def _options(where: Optional[Document], order_by: Optional[Order], limit: Optional[int], after: Optional[str]) -> Any:
    return {"where": where, "order_by": order_by, "limit": limit, "after": after}


def _component(component: Union[int, str, Mapping[str, int]]) -> TextComponent:
    if isinstance(component, str):
        return TextComponent.INSERT(component)
    if isinstance(component, int):
        return TextComponent.SKIP(component)
    return TextComponent.DELETE(component["d"])
