"""How a refusal says what was expected and what came, without echoing what came.

Rules: an upstream service may have put the text or a number into any field, so a value is shown
only where its form rules that out; of everything else the kind and the size are told. Problems are
ASCII but for field names, short and bounded in number: they go into headers, events and logs.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from contracts.codec import DecodeError, type_name

if TYPE_CHECKING:
    from collections.abc import Iterable

_MOST: Final = 20
"""Problems listed of one message."""
_SHOWN: Final = 20
"""Characters shown of a value."""
_NUMBERLIKE: Final = 7
"""Digits from which on a value may be somebody's number."""

_DATE_FIRST: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[0-9TtZz:., +-]{0,30}", re.ASCII)
_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def problem(name: str, expected: str, got: str) -> str:
    """One line: the name on the wire, what was expected, what came."""
    return f"{name}: expected {expected}, got {got}"


def refusal(problems: Iterable[str], message_id: str | None) -> DecodeError:
    """A `DecodeError` for at least one problem; the reason is the first and the number of more."""
    found = tuple(dict.fromkeys(problems))
    more = len(found) - 1
    reason = f"{found[0]} (and {more} more)" if more else found[0]
    if len(found) > _MOST:
        found = (*found[:_MOST], f"and {len(found) - _MOST} more")
    return DecodeError(reason, message_id, found)


def kind(value: object) -> str:
    """Type and size of a parsed JSON value, never its content."""
    if isinstance(value, dict | list):
        return f"{type_name(value)} with {_many(len(value), 'entry', 'entries')}"
    if isinstance(value, str):
        return f"a string of {_many(len(value), 'character', 'characters')}{_unstorable(value)}"
    return type_name(value)


def integer(value: object) -> str:
    """What came where an integer of 64 bits was expected."""
    if type(value) is int:
        return "one of more than 64 bits"
    if isinstance(value, str) and len(value) <= _SHOWN and _few_digits(value):
        return json.dumps(value)
    return kind(value)


def moment(value: object) -> str:
    """What came where a time was expected: shown when it is made like one."""
    if isinstance(value, str) and _DATE_FIRST.fullmatch(value):
        return json.dumps(value)
    return kind(value)


def key(name: str, most: int = _SHOWN) -> str:
    """The name of a free entry: escaped, shortened, hidden when it may be a number."""
    return json.dumps(name[:most])[1:-1] if _few_digits(name) else "(many digits)"


def _few_digits(value: str) -> bool:
    return sum(map(str.isdigit, value)) < _NUMBERLIKE


def _unstorable(value: str) -> str:
    if "\x00" in value:
        return ", one of them NUL"
    return ", one of them half a surrogate pair" if _LONE_SURROGATE.search(value) else ""


def _many(count: int, one: str, more: str) -> str:
    return f"{count} {one if count == 1 else more}"
