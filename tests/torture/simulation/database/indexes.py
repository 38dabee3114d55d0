"""Indexes as far as they change what is stored: unique ones and those by which documents expire.

Rules: an index that only makes a query fast is noted and has no effect. An option that is not
known here raises `NotImplementedError`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from tests.torture.simulation.database.errors import DUPLICATE_KEY, ServerError
from tests.torture.simulation.database.filters import matching
from tests.torture.simulation.database.paths import found, path
from tests.torture.simulation.database.values import MISSING, order_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from tests.torture.simulation.database.values import Document

_KNOWN: Final = {"name", "key", "unique", "partialFilterExpression", "expireAfterSeconds"}
_OTHER_OPTIONS: Final = 85
_NEVER: Final = datetime.min.replace(tzinfo=UTC)


def duplicate(namespace: str, index: str, keys: Mapping[str, Any]) -> ServerError:
    """The refusal of a document whose unique key exists already."""
    text = f"E11000 duplicate key error collection: {namespace} index: {index}"
    return ServerError(DUPLICATE_KEY, text, keyPattern=dict.fromkeys(keys, 1), keyValue=dict(keys))


class _Unique:
    """The keys of a unique index."""

    def __init__(
        self, name: str, fields: Iterable[str], covers: Callable[[Document], bool]
    ) -> None:
        self._name = name
        self._paths = {field: path(field) for field in fields}
        self._covers = covers
        self._ids: dict[Any, Any] = {}

    def check(self, namespace: str, document: Document) -> None:
        """Refuse a document whose key belongs to another one."""
        holder = self._ids.get(self._key(document), document["_id"])
        if self._covers(document) and holder != document["_id"]:
            raise duplicate(namespace, self._name, self._values(document))

    def change(self, before: Document | None, after: Document | None) -> None:
        """Note a write."""
        if before is not None and self._covers(before):
            self._ids.pop(self._key(before), None)
        if after is not None and self._covers(after):
            self._ids[self._key(after)] = after["_id"]

    def _values(self, document: Document) -> dict[str, Any]:
        found_there = {name: found(document, each.parts) for name, each in self._paths.items()}
        return {name: None if v is MISSING else v for name, v in found_there.items()}

    def _key(self, document: Document) -> Any:
        values = self._values(document)
        if any(type(value) is list for value in values.values()):
            raise NotImplementedError("a unique index over an array")
        return tuple(map(order_key, values.values()))


class Indexes:
    """The indexes of one collection."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._made: dict[str, Mapping[str, Any]] = {}
        self._unique: list[_Unique] = []
        self._expiring: dict[str, timedelta] = {}

    def create(self, index: Mapping[str, Any], documents: Iterable[Document]) -> str:
        """Create an index; returns its name. Idempotent."""
        if unknown := set(index) - _KNOWN:
            raise NotImplementedError(f"indexes with {sorted(unknown)}")
        name: str = index["name"]
        if self._made.setdefault(name, index) != index:
            raise ServerError(_OTHER_OPTIONS, f"index {name} exists with other options")
        if self._made[name] is not index:
            return name
        if "expireAfterSeconds" in index:
            (field,) = index["key"]
            self._expiring[field] = timedelta(seconds=index["expireAfterSeconds"])
        if index.get("unique"):
            self._add_unique(index, documents)
        return name

    def _add_unique(self, index: Mapping[str, Any], documents: Iterable[Document]) -> None:
        covers = matching(index.get("partialFilterExpression", {}), _NEVER)
        unique = _Unique(index["name"], index["key"], covers)
        for document in documents:
            unique.check(self._namespace, document)
            unique.change(None, document)
        self._unique.append(unique)

    def check(self, document: Document) -> None:
        """Refuse a document whose unique key belongs to another one."""
        for unique in self._unique:
            unique.check(self._namespace, document)

    def change(self, before: Document | None, after: Document | None) -> None:
        """Note a write."""
        for unique in self._unique:
            unique.change(before, after)

    def expired(self, document: Document, now: datetime) -> bool:
        """Whether a document may be removed."""
        return any(
            isinstance(document.get(field), datetime) and document[field] + after <= now
            for field, after in self._expiring.items()
        )
