"""Reads the fields of a form or a query, and decides to which report each belongs.

Rules: pure. The names decide. No value is dropped: each is in a report, or the form is refused.
- An index in a name, as `results[1][id]`, `id[1]` or `results.1.id`, is the number of a report.
- A name given several times with different values holds one value for each report, the first for
  the first: `id=1&status=D&id=2&status=F`, also `id[]=1&id[]=2`. If names repeat unequally, the
  form is refused, because it is not clear which values belong together.
- A field given once belongs to every report if it comes before the repeated ones, or if only one
  name repeats. Otherwise it is not clear to which report it belongs, and the form is refused.
- A name given several times with the same value is one field.
- Every report has the names of the first: `results[1][id]` and `results[2][id]` both become
  `results[1][id]`. So a preset names its fields as if each report came alone.
- `;`, `,`, `|`, a tab or a line end separates fields like `&` if all parts are then names with
  values. `&amp;` is `&`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_to_bytes

from contracts.reports import MAX_FIELDS, MAX_NAME
from worker.web.malformed import MalformedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    Pairs = Sequence[tuple[str, Any]]

_INDEX: Final = re.compile(r"(?<=\[)[0-9]{1,3}(?=\])|(?<=\.)[0-9]{1,3}(?=[.\[]|\Z)")
MAX_INDICES: Final = 8
"""The most indices in one name."""
_AND: Final = re.compile(rb"&(?:amp;)?")
_SEPARATORS: Final = (rb"[\r\n]+", rb";", rb",", rb"\|", rb"\t")
_NAMED: Final = re.compile(rb"\s*[A-Za-z_][\w.\[\]%-]*=")


@dataclass(frozen=True)
class Several:
    """Several reports: the own fields of each, and the fields they share."""

    own: list[Any]
    shared: Any


def pairs(raw: bytes, charset: str) -> list[tuple[str, str]]:
    """Decoded names and values in their order. JSON instead of a name gets the name "".

    Raises:
        MalformedError: there are more fields than a report may have.
    """
    pieces = _parted([piece for piece in _AND.split(raw) if piece])
    if len(pieces) > MAX_FIELDS:
        raise MalformedError(f"expected at most {MAX_FIELDS} fields, got {len(pieces)}")
    return [_pair(piece.replace(b"+", b" "), charset) for piece in pieces if piece[:1] != b"="]


def _parted(pieces: list[bytes]) -> list[bytes]:
    for separator in _SEPARATORS:
        parts = [[p.strip() for p in re.split(separator, piece) if p.strip()] for piece in pieces]
        if all(len(each) > 1 and all(map(_NAMED.match, each)) for each in parts):
            return [part for each in parts for part in each]
    return pieces


def _pair(piece: bytes, charset: str) -> tuple[str, str]:
    name, _, value = piece.partition(b"=")
    text = _decoded(name, charset)
    if text.lstrip().startswith(("{", "[")):
        return "", _decoded(piece, charset).rstrip("=")
    return text, _decoded(value, charset)


def _decoded(part: bytes, charset: str) -> str:
    return unquote_to_bytes(part).decode(charset, "replace")


def document(fields: Pairs, level: int = 0) -> dict[str, Any] | Several:
    """Split fields into reports, by the indices from the given one on, then by repetition.

    Raises:
        MalformedError: it is not clear which repeated values belong together.
    """
    indices = [_index(name, level) for name, _ in fields]
    if not any(indices):
        return by_repetition(fields)
    if level == MAX_INDICES:
        raise MalformedError(f"expected at most {MAX_INDICES} indices in a name, got more")
    arrays: dict[str, dict[int, list[tuple[str, Any]]]] = {}
    for (name, value), index in zip(fields, indices, strict=True):
        if index:
            rows = arrays.setdefault(_array(name, index), {})
            rows.setdefault(int(index[0]), []).append((name, value))
    several = {array: rows for array, rows in arrays.items() if len(rows) > 1}
    rest = [
        pair
        for pair, index in zip(fields, indices, strict=True)
        if not index or _array(pair[0], index) not in several
    ]
    shared = document(rest, level + 1)
    own = [
        document(_renumbered(rows[number], level, min(rows)), level + 1)
        for rows in several.values()
        for number in sorted(rows)
    ]
    return Several(own, shared) if own else shared


def _index(name: str, level: int) -> re.Match[str] | None:
    matches = _INDEX.finditer(name[:MAX_NAME])
    return next((each for number, each in enumerate(matches) if number == level), None)


def _array(name: str, index: re.Match[str]) -> str:
    """The array of an index. All indices at the end of a name belong to the same array."""
    return "" if len(name) <= index.end() + 1 else name[: index.start()]


def _renumbered(fields: Pairs, level: int, number: int) -> list[tuple[str, Any]]:
    renamed = []
    for name, value in fields:
        index = _index(name, level)
        start, end = index.span() if index else (0, 0)
        renamed.append((f"{name[:start]}{number}{name[end:]}", value))
    return renamed


def by_repetition(fields: Pairs) -> dict[str, Any] | Several:
    """Split fields into one report, or into as many as a repeated name has values.

    Raises:
        MalformedError: it is not clear which repeated values belong together.
    """
    values: dict[str, list[Any]] = {}
    for name, value in fields:
        values.setdefault(name, []).append(value)
    different = {name for name, given in values.items() if any(each != given[0] for each in given)}
    shared = {name: given[0] for name, given in values.items() if name not in different}
    if not different:
        return shared
    count = max(len(values[name]) for name in different)
    whole = [name for name in values if len(values[name]) == count]
    after = {name for name, _ in fields[_first(fields, different) :]}
    for name in after.difference(whole):
        if name in different or len(values[name]) > 1 or len(whole) > 1:
            raise MalformedError(
                "expected the fields of several reports equally often, and what they share once, "
                "before them; got names repeated unequally"
            )
    return Several([{name: values[name][n] for name in different} for n in range(count)], shared)


def _first(fields: Pairs, names: set[str]) -> int:
    return next(number for number, (name, _) in enumerate(fields) if name in names)
