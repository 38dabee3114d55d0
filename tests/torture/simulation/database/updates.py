"""Updates: what becomes of a document.

Rules:
- An operator computes the new value of one field from its old one. The same object means that
  nothing changed, `MISSING` that the field goes.
- Fields are changed in the server's order, which decides the order of new fields.
- Two changes of one field, or of a field and a part of it, are refused.
- An operator that is not in the table raises `NotImplementedError`.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import bson
from bson import Timestamp

from tests.torture.simulation.database import arithmetic, stages
from tests.torture.simulation.database.errors import BAD_VALUE, TYPE_MISMATCH, ServerError
from tests.torture.simulation.database.filters import has_operators
from tests.torture.simulation.database.paths import Editing, Path, path, put
from tests.torture.simulation.database.values import MISSING, NUMBERS, order_key, same

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from tests.torture.simulation.database.values import Document

    Operator = Callable[[Any, Any, "Moment"], Any]
    Change = Callable[..., Document]
    """Makes of a document and a moment the document afterwards: the same if nothing changes."""

_CONFLICT: Final = 40
_SERVER_TIME: Final = Timestamp(0, 0)


class Moment(Protocol):
    """The server's time during one operation."""

    @property
    def now(self) -> datetime:
        """The time as a date."""
        ...

    def timestamp(self) -> Timestamp:
        """The next timestamp, greater than all before."""
        ...


class _Edit(NamedTuple):
    name: str
    dotted: str
    path: Path
    operator: Operator


def change(update: Any) -> Change:
    """The function of an update. Raises `ServerError` if no document can be given this update."""
    if type(update) is list:
        return partial(_by_pipeline, update)
    shape = tuple((name, *fields) for name, fields in update.items())
    return partial(_by_operators, update, _edits(shape))


def _by_pipeline(
    update: list[Document], document: Document, moment: Moment, *, inserting: bool = False
) -> Document:
    del inserting
    fresh = stages.replaced(document, update, moment.now)
    return document if bson.encode(fresh) == bson.encode(document) else fresh


def _by_operators(
    update: Mapping[str, Any],
    edits: list[_Edit],
    document: Document,
    moment: Moment,
    *,
    inserting: bool = False,
) -> Document:
    editing = Editing(document)
    for name, dotted, where, operator in edits:
        if name == "$setOnInsert" and not inserting:
            continue
        old = editing.current(where)
        new = operator(old, update[name][dotted], moment)
        if new is not old:
            editing.put(where, new)
    return editing.document


@lru_cache(maxsize=1024)
def _edits(shape: tuple[tuple[str, ...], ...]) -> list[_Edit]:
    """The edits of all updates with these operators and fields, whatever their values."""
    edits = []
    for name, *fields in shape:
        if name not in _OPERATORS:
            raise NotImplementedError(f"the update {name}")
        if "_id" in fields:
            raise NotImplementedError("an update of _id")
        edits += [_Edit(name, dotted, path(dotted), _OPERATORS[name]) for dotted in fields]
    edits.sort(key=lambda edit: edit.path.order)
    _check_conflicts(edits)
    return edits


def _check_conflicts(edits: list[_Edit]) -> None:
    """Neighbours are enough: in this order, a part of a field follows the field."""
    before: tuple[str, ...] = ("",)
    for edit in edits:
        parts = edit.path.parts
        if parts[: len(before)] == before:
            raise ServerError(_CONFLICT, f"updating {edit.dotted!r} would create a conflict")
        before = parts


def stamped(document: Document, moment: Moment) -> Document:
    """A new document, in which the server's time replaces empty timestamps."""
    if Timestamp not in map(type, document.values()):
        return document
    return {
        name: moment.timestamp() if value == _SERVER_TIME else value
        for name, value in document.items()
    }


def _set(old: Any, operand: Any, _moment: Moment) -> Any:
    return old if type(old) is type(operand) and _unchanged(old, operand) else operand


def _unchanged(old: Any, new: Any) -> bool:
    return old is new or (old == new and same(old, new))


def _unset(_old: Any, _operand: Any, _moment: Moment) -> Any:
    return MISSING


def _inc(old: Any, operand: Any, _moment: Moment) -> Any:
    if old is MISSING:
        return operand
    if type(old) not in NUMBERS:
        raise ServerError(TYPE_MISMATCH, "cannot apply $inc to a value of non-numeric type")
    return old if operand == 0 else arithmetic.add(old, operand)


def _min(old: Any, operand: Any, _moment: Moment) -> Any:
    return operand if old is MISSING or order_key(operand) < order_key(old) else old


def _max(old: Any, operand: Any, _moment: Moment) -> Any:
    return operand if old is MISSING or order_key(operand) > order_key(old) else old


def _array(name: str, old: Any) -> list[Any]:
    if old is MISSING:
        return []
    if type(old) is not list:
        raise ServerError(BAD_VALUE, f"cannot apply {name} to a value that is no array")
    return old


def _each(name: str, operand: Any) -> list[Any]:
    if type(operand) is not dict or not has_operators(operand):
        return [operand]
    if set(operand) != {"$each"}:
        raise NotImplementedError(f"{name} with {sorted(operand)}")
    return list(operand["$each"])


def _push(old: Any, operand: Any, _moment: Moment) -> Any:
    array, added = _array("$push", old), _each("$push", operand)
    return [*array, *added] if added or old is MISSING else old


def _add_to_set(old: Any, operand: Any, _moment: Moment) -> Any:
    array = _array("$addToSet", old)
    result = list(array)
    for each in _each("$addToSet", operand):
        if not any(same(each, present) for present in result):
            result.append(each)
    return result if old is MISSING or len(result) > len(array) else old


def _pull_all(old: Any, operand: Any, _moment: Moment) -> Any:
    array = _array("$pullAll", old)
    kept = [each for each in array if not any(same(each, gone) for gone in operand)]
    return kept if len(kept) < len(array) else old


def _current_date(_old: Any, operand: Any, moment: Moment) -> Any:
    if operand is True or operand == {"$type": "date"}:
        return moment.now
    if operand == {"$type": "timestamp"}:
        return moment.timestamp()
    raise NotImplementedError(f"$currentDate with {operand}")


_OPERATORS: Final[Mapping[str, Operator]] = {
    "$addToSet": _add_to_set,
    "$currentDate": _current_date,
    "$inc": _inc,
    "$max": _max,
    "$min": _min,
    "$pullAll": _pull_all,
    "$push": _push,
    "$set": _set,
    "$setOnInsert": _set,
    "$unset": _unset,
}


def begun(query: Mapping[str, Any]) -> Document:
    """The document that an upsert begins with: what its filter asks to be equal."""
    document: Document = {}
    for name, wanted in query.items():
        if name.startswith("$"):
            raise NotImplementedError(f"an upsert by {name}")
        if type(wanted) is not dict or not has_operators(wanted):
            put(document, path(name), wanted)
    return document


def checked(document: Document) -> Document:
    """A document that may be stored."""
    if "_id" not in document:
        raise NotImplementedError("a document without _id")
    if type(document["_id"]) is bool:
        raise NotImplementedError("an _id that is a boolean")
    return document
