"""Values as MongoDB compares them, and copies of documents.

Rules:
- A stored document is never changed in place: a write makes a new one, which may share parts with
  the old one. So whoever hands a document out hands out a copy.
- Values have the exact types that `bson` decodes to (`carried`). 32-bit and 64-bit integers are one
  type here.
- A type without a place in the order raises `NotImplementedError`.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import bson
from bson import Decimal128, Int64, ObjectId, Timestamp
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from bson.tz_util import utc

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Document = dict[str, Any]
CODEC: Final = CodecOptions(tz_aware=True)


class _Missing:
    """What a path finds where nothing is. The server calls it `undefined` or `missing`."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()
_NULL, _NUMBER, _OBJECT, _ARRAY, _DATE, _TIMESTAMP = 1, 2, 4, 5, 9, 10
_RANKS: Final[Mapping[type, int]] = {
    _Missing: 0,
    type(None): _NULL,
    int: _NUMBER,
    Int64: _NUMBER,
    float: _NUMBER,
    Decimal128: _NUMBER,
    str: 3,
    dict: _OBJECT,
    list: _ARRAY,
    bytes: 6,
    ObjectId: 7,
    bool: 8,
    datetime: _DATE,
    Timestamp: _TIMESTAMP,
}
"""The place of each type in the order of all values."""
NUMBERS: Final = frozenset({int, Int64, float, Decimal128})


def rank(value: object) -> int:
    """The place of a value's type in the order of all values."""
    try:
        return _RANKS[type(value)]
    except KeyError:
        raise NotImplementedError(f"values of type {type(value).__name__}") from None


def order_key(value: Any) -> tuple[int, Any]:
    """A key by which any two values compare as the server compares them."""
    kind = rank(value)
    if kind == _NUMBER:
        return kind, _number(value)
    if kind == _OBJECT:
        return kind, tuple((rank(each), name, order_key(each)) for name, each in value.items())
    if kind == _ARRAY:
        return kind, tuple(map(order_key, value))
    return (kind, None) if kind <= _NULL else (kind, value)


def _number(value: Any) -> Any:
    number = value.to_decimal() if type(value) is Decimal128 else value
    if number != number:  # noqa: PLR0124 - so one finds what is not a number
        raise NotImplementedError("comparing NaN")
    return number


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal for the server: 1 is 1.0, but not true."""
    return one is other or order_key(one) == order_key(other)


def truthy(value: Any) -> bool:
    """Whether a value counts as true in an expression."""
    return value is not None and value is not MISSING and value is not False and _not_zero(value)


def _not_zero(value: Any) -> bool:
    return type(value) not in NUMBERS or _number(value) != 0


def carried(document: Mapping[str, Any]) -> Document:
    """A document as it arrives after it was encoded and sent. Raises what `bson` raises."""
    raw = document.raw if isinstance(document, RawBSONDocument) else bson.encode(document)
    decoded: Document = bson.decode(raw, CODEC)
    return decoded


def carried_all(documents: Sequence[Mapping[str, Any]]) -> list[Document]:
    """The same for a list of documents, such as a pipeline."""
    return list(carried({"all": documents})["all"])


def copied(value: Document) -> Document:
    """A copy that shares no dictionary and no list."""
    return {
        name: each if type(each) is not dict and type(each) is not list else _copied(each)
        for name, each in value.items()
    }


def _copied(value: Any) -> Any:
    if type(value) is dict:
        return copied(value)
    return [_copied(each) for each in value] if type(value) is list else value


def date(moment: datetime) -> datetime:
    """A time as a date of BSON carries it, with the time zone that `bson` decodes to.

    Python compares times of one zone object much faster than those of two.
    """
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=utc)
