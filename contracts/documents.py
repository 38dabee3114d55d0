"""Checks JSON documents that a person writes: the flags, as a file and in `set-flags`.

Rules: mistakes are reported, never guessed away. A key given twice is a problem at any depth,
because readers silently keep only one of its values. Values that stores or other languages cannot
hold are problems too: too many levels, an integer beyond 64 bit, NaN or infinity, half a surrogate
pair. The check does not recurse into the input, and no problem repeats a value.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from contracts.model import INT64
from contracts.problems import key

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_DEPTH: Final = 16
"""Most levels of objects and arrays; the flags need five."""
_LONGEST_KEY: Final = 64
MAX_PROBLEMS: Final = 20
"""Most problems reported at once; a file with more usually has one mistake everywhere."""


def repeated(text: str) -> tuple[str, ...]:
    """Return the keys given more than once in one object, at any depth.

    Raises:
        ValueError: the text is not JSON.
        RecursionError: it has too many levels to be read at all.
    """
    twice: dict[str, None] = {}

    def pairs(given: Sequence[tuple[str, Any]]) -> dict[str, Any]:
        read = dict(given)
        if len(read) < len(given):
            times = Counter(name for name, _ in given)
            twice.update(dict.fromkeys(name for name, count in times.items() if count > 1))
        return read

    json.loads(text, object_pairs_hook=pairs)
    return tuple(twice)


def unfit(document: Any) -> tuple[str, ...]:
    """Return problems of values that cannot be held everywhere, at most `MAX_PROBLEMS` of them."""
    problems: dict[str, None] = {}
    left = [("", document, 1)]
    while left and len(problems) < MAX_PROBLEMS:
        name, value, depth = left.pop()
        if isinstance(value, dict | list) and depth > MAX_DEPTH:
            problems[told(name, f"expected at most {MAX_DEPTH} levels")] = None
        elif isinstance(value, dict):
            left += [each for named in value.items() for each in _entry(*named, depth)]
        elif isinstance(value, list):
            left += [(name, item, depth + 1) for item in value]
        elif (problem := _of_value(value)) is not None:
            problems[told(name, problem)] = None
    return tuple(problems)


def _entry(name: str, value: Any, depth: int) -> Iterable[tuple[str, Any, int]]:
    """Return what to check of an entry of an object: its value and its key."""
    return (name, value, depth + 1), (name, name, depth + 1)


def _of_value(value: Any) -> str | None:
    match value:
        case bool():
            return None
        case int() if not -INT64 <= value < INT64:
            return "expected a number of at most 64 bit"
        case float() if not math.isfinite(value):
            return "expected a number, got NaN or Infinity"
        case str() if not _is_text(value):
            return "expected text, got half a surrogate pair"
    return None


def _is_text(value: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in value)


def told(name: str, problem: str) -> str:
    """Return a problem with the name of its key."""
    return f"{key(name, _LONGEST_KEY) or 'document'}: {problem}"


def given_twice(name: str) -> str:
    """Return the problem of a key that `repeated` found."""
    return told(name, "given more than once")
