"""What callers hand to a collection, as it arrives at the server.

Rules: documents, filters and updates are encoded at once, as the driver does. So what a caller
changes afterwards changes nothing, and what cannot be encoded raises.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pymongo import ReplaceOne, UpdateOne

from tests.torture.simulation.database.statements import Replace, Update
from tests.torture.simulation.database.values import carried, carried_all

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.torture.simulation.database.values import Document


def query(given: Mapping[str, Any] | None) -> Document:
    """A filter."""
    return carried(given) if given else {}


def update(given: Any) -> Any:
    """An update, by operators or by a pipeline."""
    return carried_all(given) if isinstance(given, list) else carried(given)


def statement(request: UpdateOne | ReplaceOne[Any]) -> Update | Replace:
    """A statement of a bulk write."""
    if not isinstance(request, UpdateOne | ReplaceOne):
        raise NotImplementedError(f"bulk writes of {type(request).__name__}")
    if request._collation or request._hint or request._sort:
        raise NotImplementedError("collation, hint or sort of a bulk write")
    where, upsert = query(request._filter), bool(request._upsert)
    if isinstance(request, ReplaceOne):
        return Replace(where, carried(request._doc), upsert)
    if request._array_filters:
        raise NotImplementedError("array filters of a bulk write")
    return Update(where, update(request._doc), upsert)
