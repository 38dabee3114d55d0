"""Writes refusals that say what was expected and what came, without repeating the value.

Rules: an upstream service may have put the text or a phone number into any field. So a value is
shown only if its form rules that out; of all other values, only the kind and the size are shown.
Problems are ASCII except for field names, short and bounded in number, because they go into
headers, events and logs.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from contracts.codec import DecodeError, type_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic_core import ErrorDetails

_MOST: Final = 20
"""Most problems listed for one message."""
_SHOWN: Final = 20
"""Most characters shown of a value."""
_NUMBERLIKE: Final = 7
"""A value with at least so many digits may be a phone number."""
_CODELIKE: Final = 4
"""A value with at least so many digits may be, or hold, a one-time code."""

_WORD: Final = re.compile(rf"[!-~]{{1,{_SHOWN}}}", re.ASCII)
"""One word. A text that somebody reads has more than one, or it is a code."""
_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"([Tt ][0-9]{2}(:?[0-9]{2}){0,2}([.,][0-9]{1,7})?)?"
    r" ?([Zz]|[+-][0-9]{1,2}(:?[0-9]{2})?)?",
    re.ASCII,
)
"""A date, perhaps with a time of day and an offset: no part of it is long enough for a number."""
_NAME: Final = re.compile(r"[a-z][a-z.-]{0,39}", re.ASCII)
_MESSAGES: Final = {
    "union_tag_invalid": "expected a known name, got another one",
    "uuid_parsing": "expected a UUID",
}
"""Messages by the type of the error."""
_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def problem(name: str, expected: str, got: str) -> str:
    """Return one line: the name on the wire, what was expected, what came."""
    return f"{name}: expected {expected}, got {got}"


def refusal(problems: Iterable[str], message_id: str | None) -> DecodeError:
    """Build a `DecodeError`; its reason is the first problem and the number of further ones."""
    lines = tuple(dict.fromkeys(problems))
    more = len(lines) - 1
    reason = f"{lines[0]} (and {more} more)" if more else lines[0]
    if len(lines) > _MOST:
        lines = (*lines[:_MOST], f"and {len(lines) - _MOST} more")
    return DecodeError(reason, message_id, lines)


def kind(value: object) -> str:
    """Return type and size of a parsed JSON value, never its content."""
    if isinstance(value, dict | list):
        return f"{type_name(value)} with {_many(len(value), 'entry', 'entries')}"
    if isinstance(value, str):
        return f"a string of {_many(len(value), 'character', 'characters')}{_unstorable(value)}"
    return type_name(value)


def integer(value: object) -> str:
    """Describe a value that came instead of an integer of 64 bits."""
    if type(value) is int:
        return "one of more than 64 bits"
    if isinstance(value, str) and _WORD.fullmatch(value) and _digits(value) < _CODELIKE:
        return json.dumps(value)
    return kind(value)


def moment(value: object) -> str:
    """Describe a value that came instead of a time; it is shown if it looks like a time."""
    return json.dumps(value) if is_time(value) else kind(value)


def is_time(value: object) -> bool:
    """Whether a value is a date, perhaps with a time of day and an offset, and nothing more."""
    return isinstance(value, str) and _TIME.fullmatch(value) is not None


def key(name: str, most: int = _SHOWN) -> str:
    """Return the name of a free entry: escaped, shortened, hidden if it may be a phone number."""
    return json.dumps(name[:most])[1:-1] if _digits(name) < _NUMBERLIKE else "(many digits)"


def name(value: object) -> str:
    """Describe a value that came instead of a name of ours; it is shown if it could be one."""
    if isinstance(value, str) and _NAME.fullmatch(value):
        return json.dumps(value)
    return kind(value)


def of_model(detail: ErrorDetails, tag: str) -> str:
    """Describe one error of a model that is chosen by its field `tag`.

    The first part of the error's location is the tag's value, which is not repeated. Some of the
    model's own messages repeat what came; those are replaced.
    """
    where = ".".join(key(str(part)) for part in detail["loc"][1:])
    return f"{where or tag}: {_MESSAGES.get(detail['type'], detail['msg'])}"


def _digits(value: str) -> int:
    return sum(map(str.isdigit, value))


def _unstorable(value: str) -> str:
    if "\x00" in value:
        return ", one of them NUL"
    return ", one of them half a surrogate pair" if _LONE_SURROGATE.search(value) else ""


def _many(count: int, one: str, more: str) -> str:
    return f"{count} {one if count == 1 else more}"
