"""Callbacks of any provider, read into one flat map of strings.

Rules: pure, and strict where strictness is safety: what cannot be read unambiguously is malformed,
because a report half understood is worse than one the provider repeats. Three shapes are known:
form (Africa's Talking), JSON (generic gateways; nested scalars become dotted names, `a.0.b`) and
the query alone (Kannel). Numbers keep the spelling they came in; of a field given twice the first
counts. Where query and body name the same field, the query wins: the address is ours, minted with
the message, and a body must not overrule it.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_FIELDS: Final = 64
MAX_DEPTH: Final = 4
"""Levels of nesting a JSON callback may have."""
MAX_NAME: Final = 128
"""Characters in a field's name, dots included."""

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")

FORM: Final = "application/x-www-form-urlencoded"


class MalformedError(ValueError):
    """The callback cannot be read; the message says why and quotes nothing of it."""


def read(query: bytes, media_type: str, body: bytes) -> dict[str, str]:
    """Merge query and body of a callback into one flat map.

    Args:
        query: the raw query string, without `?`.
        media_type: Content-Type of the body; parameters such as `charset` are ignored (UTF-8).
        body: the raw body, empty where there is none.

    Raises:
        MalformedError: not decodable, a media type nobody documented, no field or more than
            `MAX_FIELDS`.
    """
    fields = _body(media_type, body) | _form(query)
    if not fields:
        raise MalformedError("expected at least one field, got none")
    if len(fields) > MAX_FIELDS:
        raise MalformedError(f"expected at most {MAX_FIELDS} fields, got {len(fields)}")
    for name, value in fields.items():
        _check(name, value)
    return fields


def _body(media_type: str, body: bytes) -> dict[str, str]:
    if not body.strip():
        return {}
    kind = media_type.partition(";")[0].strip().lower()
    if kind == FORM:
        return _form(body.strip())
    if kind == "application/json" or kind.endswith("+json"):
        return _json(body)
    raise MalformedError(f"expected a form or JSON, got {kind[:64] or 'no media type'!r}")


def _form(raw: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            raw.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except ValueError:
        raise MalformedError("expected percent-encoded UTF-8 of at most 64 fields") from None
    fields: dict[str, str] = {}
    for name, value in pairs:
        fields.setdefault(name, value)
    return fields


def _json(body: bytes) -> dict[str, str]:
    try:
        # As text: 0.10 stays "0.10", and an id of 30 digits stays that id.
        document = json.loads(body, parse_int=str, parse_float=str, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise MalformedError("expected JSON in UTF-8") from None
    if not isinstance(document, dict):
        raise MalformedError("expected a JSON object")
    return dict(_flatten(document, "", MAX_DEPTH))


def _refuse(constant: str) -> str:
    raise ValueError(constant)


def _flatten(node: object, name: str, depth: int) -> Iterator[tuple[str, str]]:
    match node:
        case None:
            return
        case bool():
            yield name, "true" if node else "false"
        case str():
            yield name, node
        case dict() | list() if depth == 0:
            raise MalformedError(f"expected at most {MAX_DEPTH} levels of nesting")
        case dict() | list():
            prefix = f"{name}." if name else ""
            for key, child in node.items() if isinstance(node, dict) else enumerate(node):
                yield from _flatten(child, f"{prefix}{key}", depth - 1)


def _check(name: str, value: str) -> None:
    if not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise MalformedError(f"expected field names of 1 to {MAX_NAME} printable characters")
    if _CONTROL.search(value):
        raise MalformedError("expected text, got control characters")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise MalformedError("expected whole characters, got half a surrogate pair") from None
