"""Callbacks of any provider, read into flat maps of strings: one map for each report in them.

Rules: pure. A callback is read by what it is, not by what its content type says, for gateways get
that wrong: a form (Africa's Talking), JSON, multipart/form-data, or the query alone (Kannel). What
is none of these is malformed, and never a report with one odd field.
What is wrong with one field spoils that field alone: octets that are not in the charset, control
characters and half surrogate pairs become U+FFFD; a field without a usable name is left out. The
charset is the declared one, else UTF-8. Numbers keep the spelling they came in. Every value is in a
report, or the callback is refused: `forms` and `documents` say what makes several reports of it.
Where query and body name the same field, the query wins: the address is ours, minted with the
message, and a body must not overrule it.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from contracts.reports import MAX_FIELDS, MAX_NAME
from worker.web import documents, forms, multipart
from worker.web.charsets import ascii_based
from worker.web.malformed import MalformedError

if TYPE_CHECKING:
    from worker.web.documents import Reports

MAX_REPORT_BYTES: Final = 48 * 1024
"""One report as JSON: what is handed to the broker must be within what the worker reads."""
MAX_TOTAL_BYTES: Final = 1024 * 1024
"""All reports of a callback as JSON: what they share is written out for each."""

_UNREADABLE: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")
_BLANK: Final = b" \t\r\n\0"
_SECOND_QUERY: Final = re.compile(rb"\?(?=[A-Za-z_][\w.\[\]%-]*=)")
"""What a gateway appends to an address that has a query already."""
_FORM_BEGINS: Final = re.compile(rb'[^\x00-\x20<>"{}=]*=')
"""A name and its sign, which neither XML nor a sentence begins with."""


def read(query: bytes, media_type: str, body: bytes) -> tuple[dict[str, str], ...]:
    """Merge query and body of a callback into one flat map for each report.

    Args:
        query: the raw query string, without `?`; its fields belong to every report of the body.
        media_type: Content-Type of the body; only its charset is used.
        body: the raw body, empty where there is none.

    Raises:
        MalformedError: nothing known, no field, or more than the bounds allow.
    """
    query = _SECOND_QUERY.sub(b"&", query, count=1)
    asked = documents.flattened(forms.document(forms.pairs(query, "utf-8")))
    found = _body(media_type, body)
    if not found or not asked:
        raise MalformedError("expected at least one report, got an empty array")
    if len(asked) > 1 and len(found) > 1:
        raise MalformedError("expected several reports in the query or in the body, got both")
    return _bounded([first + second for first in asked for second in found])


def _body(media_type: str, body: bytes) -> Reports:
    raw, charset = ascii_based(media_type, body)
    raw = raw.strip(_BLANK)
    if not raw:
        return [()]
    if raw.startswith((b"{", b"[")):
        return documents.read(raw.decode(charset, "replace"))
    if raw.startswith(b"--"):
        return documents.flattened(forms.document(multipart.read(raw, charset)))
    if _FORM_BEGINS.match(raw):
        return documents.flattened(forms.document(forms.pairs(raw, charset)))
    raise MalformedError("expected a form, JSON or multipart/form-data")


def _bounded(reports: Reports) -> tuple[dict[str, str], ...]:
    """The reports with usable fields, merged only once it is known that they are within bounds."""
    found = {id(layer): layer for report in reports for layer in report}
    layers = {key: _usable(layer) for key, layer in found.items()}
    sizes = {key: _size(layer) for key, layer in layers.items()}
    totals = [sum(sizes[id(layer)] for layer in report) for report in reports]
    _bound("report", max(totals), MAX_REPORT_BYTES)
    _bound("callback", sum(totals), MAX_TOTAL_BYTES)
    return tuple(_merged([layers[id(layer)] for layer in report]) for report in reports)


def _usable(layer: dict[str, str]) -> dict[str, str]:
    return {
        name: _UNREADABLE.sub("\ufffd", value)
        for name, value in layer.items()
        if 0 < len(name) <= MAX_NAME and name.isprintable()
    }


def _size(layer: dict[str, str]) -> int:
    """Bytes as JSON; the braces of one layer are the comma before it in the whole report."""
    return len(json.dumps(layer, ensure_ascii=False).encode()) if layer else 0


def _merged(layers: list[dict[str, str]]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for layer in reversed(layers):  # the first one counts
        fields |= layer
    if not fields:
        raise MalformedError("expected at least one field, got none")
    if len(fields) > MAX_FIELDS:
        raise MalformedError(f"expected at most {MAX_FIELDS} fields, got {len(fields)}")
    return fields


def _bound(what: str, size: int, most: int) -> None:
    if size > most:
        raise MalformedError(f"expected a {what} of at most {most} bytes as JSON, got {size}")
