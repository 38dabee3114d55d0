"""Compares two flags documents, one line per value, for people who are about to change them.

Rules: pure. A value that the new document leaves out gets its default. The initial percentage is no
difference, because a document sets it at the very first start only.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

SHARE: Final = ("SmsFeatureFlags", "AfricasTalkingTrafficPercentage")
"""Section and name of the initial percentage; later, commands change it."""
_ABSENT: Final = object()


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """The differences of two documents: `path: before -> after`."""
    return list(_differences(_without_share(before), _without_share(after), ""))


def at_most(lines: list[str], most: int) -> list[str]:
    """The first lines, and how many are left out."""
    left = len(lines) - most
    return [*lines[:most], f"and {left} more"] if left > 0 else lines


def _without_share(document: dict[str, Any]) -> dict[str, Any]:
    section, name = SHARE
    inner = document.get(section)
    if not isinstance(inner, dict):
        return document
    return {**document, section: {key: value for key, value in inner.items() if key != name}}


def _differences(before: Any, after: Any, path: str) -> Iterable[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        for name in dict.fromkeys((*before, *after)):
            where = f"{path}.{name}" if path else name
            yield from _differences(before.get(name, _ABSENT), after.get(name, _ABSENT), where)
    elif before != after or isinstance(before, bool) is not isinstance(after, bool):
        new = "(default)" if after is _ABSENT else _value(after)
        yield f"{path}: {_value(before) if before is not _ABSENT else '(absent)'} -> {new}"


def _value(value: object) -> str:
    return "{...}" if isinstance(value, dict) and value else json.dumps(value, ensure_ascii=False)
