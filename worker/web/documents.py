"""Reads reports in JSON; each becomes layers of flat maps of strings.

Rules:
- Pure. Nested values get dotted names (`a.0.b`); nulls are left out.
- An array of two or more objects holds several reports, wherever it is. Each is read as if it had
  come alone, so a field has the same name in all of them (`results.0.status`). Fields beside the
  array belong to each report. Elements of an array at the top are read the same way, without index.
- An array that only explains one report (`errors`) gives the same report twice, which is harmless.
  If it were taken as an explanation, a second real report would be lost.
- These forms mean the same: objects by number (`{"1": {}, "2": {}}`), two or more arrays of equal
  length beside each other (`{"id": [1, 2], "status": ["D", "F"]}`), names given twice (see
  `forms`), and JSON in a string, as in a form's `data=[{}, {}]`.
- Fields that reports share are one layer, the same object in all of them. So they take no memory
  until `fields` knows the size of the whole.
- Small errors with a clear meaning are accepted: control characters in strings, and NaN as text.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from contracts.reports import MAX_FIELDS
from worker.web.forms import Several, by_repetition
from worker.web.malformed import MalformedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sized

MAX_DEPTH: Final = 16
"""The most levels of nesting."""
MAX_REPORTS: Final = 500
"""The most reports in one callback."""
MAX_CELLS: Final = 4 * MAX_REPORTS
"""The most values in arrays beside each other. More are refused as too many fields."""

Layers = tuple[dict[str, str], ...]
"""One report. If layers have the same field, the first layer counts."""
Reports = list[Layers]

_OBJECT = (dict, Several)
_NUMBER: Final = re.compile(r"\d{1,3}", re.ASCII)


class NotJsonError(MalformedError):
    """The text is no JSON."""


def read(text: str) -> Reports:
    """Read a JSON object, or an array of objects.

    Raises:
        MalformedError: it is no JSON, neither object nor array of objects, or out of bounds.
    """
    document = _parsed(text)
    if isinstance(document, _OBJECT):
        return flattened(document)
    elements = _objects(document)
    if elements is None:
        raise MalformedError("expected a JSON object or an array of objects")
    return _several(elements, "", MAX_DEPTH - 1)


def flattened(document: dict[str, Any] | Several) -> Reports:
    """Read an object, or several reports of a form.

    Raises:
        MalformedError: it is out of bounds.
    """
    return _reports(document, "", MAX_DEPTH)


def _parsed(text: str) -> Any:
    try:
        return json.loads(
            text,
            strict=False,  # a raw line break in a string is common and harmless
            parse_int=str,  # as text, so that 0.10 stays "0.10", and an id of 30 digits stays exact
            parse_float=str,
            parse_constant=str,
            object_pairs_hook=_members,
        )
    except MalformedError:
        raise
    except (ValueError, RecursionError):
        raise NotJsonError("expected JSON, complete and without errors") from None


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any] | Several:
    if len(pairs) > MAX_FIELDS:
        raise MalformedError(f"expected at most {MAX_FIELDS} fields, got {len(pairs)}")
    return by_repetition(pairs)


def _reports(node: Any, name: str, depth: int) -> Reports:
    match node:
        case None:
            return [()]
        case bool():
            return [({name: "true" if node else "false"},)]
        case str():
            return _of_text(node, name, depth)
    if depth == 0:
        raise MalformedError(f"expected at most {MAX_DEPTH} levels of nesting")
    if isinstance(node, dict):
        node = _by_columns(node)
    if isinstance(node, Several):
        own, shared = _several(node.own, name, depth - 1), _reports(node.shared, name, depth)
        if len(own) > 1 and len(shared) > 1:
            raise MalformedError(
                "expected several reports in one form, got them in two forms at once"
            )
        return _merged([own, shared])
    prefix = f"{name}." if name else ""
    elements = _objects(node)
    if elements is not None and len(elements) > 1:
        first = min(node, key=int) if isinstance(node, dict) else "0"
        return _several(elements, f"{prefix}{first}", depth - 1)
    members = node.items() if isinstance(node, dict) else enumerate(node)
    return _merged(_reports(child, f"{prefix}{key}", depth - 1) for key, child in members)


def _of_text(text: str, name: str, depth: int) -> Reports:
    """Read a string. If it is JSON with an object, it holds reports."""
    if text.lstrip().startswith(("{", "[")):
        if not name:
            return read(text)
        with suppress(NotJsonError):
            document = _parsed(text)
            if document and "{" in text:
                return _reports(document, name, depth)
    return [({name: text},)]


def _by_columns(node: dict[str, Any]) -> dict[str, Any] | Several:
    """Split an object into several reports if arrays of equal length hold one value of each."""
    arrays = {name: value for name, value in node.items() if isinstance(value, list)}
    columns = {name: value for name, value in arrays.items() if len(value) > 1}
    lengths = {len(value) for value in columns.values()}
    cells = [cell for value in columns.values() for cell in value]
    side_by_side = len(lengths) == 1 < len(columns)
    if not side_by_side or len(cells) > MAX_CELLS or not all(map(_flat, cells)):
        return node
    own = [{name: [value[n]] for name, value in columns.items()} for n in range(lengths.pop())]
    return Several(own, {name: value for name, value in node.items() if name not in columns})


def _flat(node: Any) -> bool:
    return not isinstance(node, (*_OBJECT, list))


def _objects(node: Any) -> list[Any] | None:
    """The elements of an array of objects, or of objects by number; None: it is neither."""
    if isinstance(node, dict):
        numbered = bool(node) and all(map(_NUMBER.fullmatch, node))
        node = [node[number] for number in sorted(node, key=int)] if numbered else None
    if not isinstance(node, list):
        return None
    elements = [element for element in node if element is not None]
    return elements if all(isinstance(element, _OBJECT) for element in elements) else None


def _several(elements: list[Any], name: str, depth: int) -> Reports:
    _bound(elements)
    made: Reports = []
    for element in elements:
        made += (each for each in _reports(element, name, depth) if any(each))
        _bound(made)
    return made


def _merged(children: Iterable[Reports]) -> Reports:
    """Merge the fields for all reports with the several reports that one child holds.

    Raises:
        MalformedError: it is out of bounds, or two names that differ become one (`{"a.b": 1, "a":
            {"b": 2}}`), so that a value would be lost.
    """
    shared: dict[str, str] = {}
    several: Reports = []
    for child in children:
        if len(child) > 1:
            several += child
        else:
            for layer in child[0] if child else ():
                _agree(layer, shared)
                shared |= layer
        _bound(several, shared)
    for layer in {id(layer): layer for each in several for layer in each}.values():
        _agree(layer, shared)
    return [(*each, shared) for each in several] or [(shared,)]


def _agree(layer: dict[str, str], shared: dict[str, str]) -> None:
    if any(layer[name] != shared[name] for name in layer.keys() & shared.keys()):
        raise MalformedError("expected names that differ when nested ones are joined by dots")


def _bound(reports: Sized, shared: Sized = ()) -> None:
    if len(reports) > MAX_REPORTS:
        raise MalformedError(f"expected at most {MAX_REPORTS} reports, got more")
    if len(shared) > MAX_FIELDS:
        raise MalformedError(f"expected at most {MAX_FIELDS} fields, got more")
