"""Dotted paths: what they find in a document, and how an update changes what they name.

Rules: an update copies every dictionary on its way to a field, because stored documents are shared
(see `values`). An update through an array is not implemented.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.torture.simulation.database.errors import ServerError
from tests.torture.simulation.database.values import MISSING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.torture.simulation.database.values import Document

_PATH_NOT_VIABLE = 28


class Path(NamedTuple):
    """A dotted path."""

    order: tuple[tuple[bool, int, str], ...]
    """By this, the fields of an update are changed: numbers by their value, before names."""
    parts: tuple[str, ...]
    parents: tuple[str, ...]
    leaf: str


@lru_cache(maxsize=4096)
def path(dotted: str) -> Path:
    """Read a dotted path."""
    parts = tuple(dotted.split("."))
    if not all(parts) or any(part.startswith("$") for part in parts):
        raise NotImplementedError(f"the path {dotted!r}")
    order = tuple(
        (not part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts
    )
    return Path(order, parts, parts[:-1], parts[-1])


def candidates(document: Document, parts: tuple[str, ...]) -> Iterator[Any]:
    """All values that a filter's path finds. A path enters each document of an array."""
    value: Any = document
    for index, part in enumerate(parts):
        if type(value) is list:
            yield from _in_array(value, parts[index:])
            return
        value = value.get(part, MISSING) if type(value) is dict else MISSING
    yield value


def _in_array(array: list[Any], parts: tuple[str, ...]) -> Iterator[Any]:
    if parts[0].isdecimal():
        place = int(parts[0])
        if place < len(array):
            yield from _from(array[place], parts[1:])
    for each in array:
        if type(each) is dict:
            yield from candidates(each, parts)


def _from(value: Any, parts: tuple[str, ...]) -> Iterator[Any]:
    if not parts:
        yield value
    elif type(value) is list:
        yield from _in_array(value, parts)
    elif type(value) is dict:
        yield from candidates(value, parts)


def found(value: Any, parts: tuple[str, ...]) -> Any:
    """What an expression's path finds. Through an array it finds an array."""
    for index, part in enumerate(parts):
        if type(value) is dict:
            value = value.get(part, MISSING)
        elif type(value) is list:
            each = (found(item, parts[index:]) for item in value)
            return [item for item in each if item is not MISSING]
        else:
            return MISSING
    return value


def put(document: Document, where: Path, value: Any) -> None:
    """Set a field as a pipeline does; `MISSING` removes it.

    A value on its way is replaced by a document. `document` itself belongs to the caller, what is
    in it does not.
    """
    holder = document
    for part in where.parents:
        inner = holder.get(part)
        if type(inner) is list:
            raise NotImplementedError("setting a field in each document of an array")
        holder[part] = dict(inner) if type(inner) is dict else {}
        holder = holder[part]
    if value is MISSING:
        holder.pop(where.leaf, None)
    else:
        holder[where.leaf] = value


class Editing:
    """Changes to one document. What they touch is copied once.

    Args:
        document: stays as it is.
    """

    def __init__(self, document: Document) -> None:
        self.document = document
        """The document after the changes; the same object if there were none."""
        self._owned: dict[tuple[str, ...], Document] = {}

    def current(self, where: Path) -> Any:
        """What a path finds."""
        holder = self._owned.get(where.parents)
        if holder is not None:
            return holder.get(where.leaf, MISSING)
        value: Any = self.document
        for part in where.parts:
            if type(value) is list:
                raise NotImplementedError("an update inside an array")
            value = value.get(part, MISSING) if type(value) is dict else MISSING
        return value

    def put(self, where: Path, value: Any) -> None:
        """Set a field; `MISSING` removes it."""
        holder = self._holder(where.parents)
        if value is MISSING:
            del holder[where.leaf]
        else:
            holder[where.leaf] = value

    def _holder(self, parents: tuple[str, ...]) -> Document:
        """The dictionary at a path, which is ours to change."""
        holder = self._owned.get(parents)
        if holder is None:
            if parents:
                holder = _own(self._holder(parents[:-1]), parents[-1])
            else:
                holder = self.document = dict(self.document)
            self._owned[parents] = holder
        return holder


def _own(holder: Document, part: str) -> Document:
    """What a dictionary holds in one of its fields, as a copy or new."""
    inner = holder.get(part, MISSING)
    if type(inner) is list:
        raise NotImplementedError("an update inside an array")
    if type(inner) is not dict and inner is not MISSING:
        raise ServerError(_PATH_NOT_VIABLE, f"cannot create a field in {part!r}")
    fresh = holder[part] = {} if inner is MISSING else dict(inner)
    return fresh
