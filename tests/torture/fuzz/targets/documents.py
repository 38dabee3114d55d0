"""JSON as a reader that is not ours sees it, to judge ours by."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from contracts.model import Wire


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


def is_whole(document: Any) -> bool:
    """Whether no text in it has half a surrogate pair, which is written as `?`."""
    try:
        json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def spellings(models: Iterable[type[Wire]]) -> Mapping[str, str]:
    """The fields of these models: camelCase -> snake_case."""
    fields = [(field.alias or name, name) for m in models for name, field in m.model_fields.items()]
    return dict(sorted(fields))


def respelled(document: dict[str, Any], spelled: Mapping[str, str]) -> bytes | None:
    """The same object with its fields in another spelling; None: it has both, or no JSON holds it.

    A number like `1e400` is such a one: it is read as infinity.
    """
    if any(name != other and {name, other} <= document.keys() for name, other in spelled.items()):
        return None
    try:
        changed = {spelled.get(name, name): value for name, value in document.items()}
        return json.dumps(changed, allow_nan=False).encode()
    except ValueError:
        return None


def keys(document: Any) -> Iterator[str]:
    """The names of all its fields, at any depth."""
    left = [document]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            yield from value
        if isinstance(value, dict | list):
            left += value.values() if isinstance(value, dict) else value


def twice(body: bytes) -> bool:
    """Whether an object in it gives a name twice."""
    found: list[bool] = []

    def pairs(given: list[tuple[str, Any]]) -> dict[str, Any]:
        found.append(len({name for name, _ in given}) < len(given))
        return dict(given)

    json.loads(body.decode("utf-8-sig"), object_pairs_hook=pairs)
    return any(found)


def is_held(document: Any) -> bool:
    """Whether all stores and languages can hold its values."""
    left = [document]
    while left:
        value = left.pop()
        if isinstance(value, dict | list):
            left += [*value, *value.values()] if isinstance(value, dict) else value
        elif not _is_held(value):
            return False
    return True


def _is_held(value: Any) -> bool:
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    if isinstance(value, float):
        return math.isfinite(value)
    return not isinstance(value, str) or not any("\ud800" <= char <= "\udfff" for char in value)
