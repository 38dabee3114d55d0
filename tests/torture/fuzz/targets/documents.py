"""JSON as a reader that is not ours sees it, to judge ours by."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def read(body: bytes) -> Any:
    """The document; None where the standard library reads none (or `null`)."""
    try:
        return json.loads(body.decode("utf-8-sig"), parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None


def _refuse(name: str) -> object:
    raise ValueError(name)


def depth(document: Any) -> int:
    """Levels of objects and arrays."""
    levels, inner = 0, [document]
    while inner := [each for each in inner if isinstance(each, dict | list)]:
        levels += 1
        inner = [x for each in inner for x in (each.values() if isinstance(each, dict) else each)]
    return levels


def is_text(value: str) -> bool:
    """Whether stores and other languages can hold it."""
    return "\0" not in value and not any("\ud800" <= char <= "\udfff" for char in value)


def respelled(
    document: dict[str, Any], names: Iterable[str], spell: Callable[[str], str]
) -> bytes | None:
    """The same object with its fields in another spelling; None: it has both, or no JSON holds it.

    A number like `1e400` is such a one: it is read as infinity.
    """
    other = {name: spell(name) for name in names}
    if any(name in document and other[name] in document for name in names if other[name] != name):
        return None
    try:
        changed = {other.get(name, name): value for name, value in document.items()}
        return json.dumps(changed, allow_nan=False).encode()
    except ValueError:
        return None
