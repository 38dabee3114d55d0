"""Reads callbacks of any provider into flat maps of strings: one map for each report.

Rules:
- Pure. The form of a callback is recognised by its bytes, because gateways send wrong content
  types: a form (Africa's Talking), JSON, multipart/form-data, or only the query (Kannel). Anything
  else is malformed and never a report with one odd field.
- An error in one field affects only that field. Bytes outside the charset, control characters and
  half surrogate pairs become U+FFFD. A field without a usable name is left out.
- The charset is the declared one, else UTF-8. Numbers keep their spelling.
- Every value is in a report, or the callback is refused. `forms` and `documents` define when a
  callback holds several reports.
- If query and body have the same field, the query counts. We made the address for the message, and
  a body must not change it.
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
"""Largest report as JSON. The worker must be able to read what is published."""
MAX_TOTAL_BYTES: Final = 1024 * 1024
"""Largest size of all reports of a callback as JSON, with shared fields in each report."""

_UNREADABLE: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")
_BLANK: Final = b" \t\r\n\0"
_SECOND_QUERY: Final = re.compile(rb"\?(?=[A-Za-z_][\w.\[\]%-]*=)")
"""The text that a gateway appends to an address that has a query already."""
_FORM_BEGINS: Final = re.compile(rb'[^\x00-\x20<>"{}=]*=')
"""A name and its sign. Neither XML nor a sentence begins like this."""


def read(query: bytes, media_type: str, body: bytes) -> tuple[dict[str, str], ...]:
    """Merge query and body of a callback into one flat map for each report.

    Args:
        query: the raw query string, without `?`; its fields belong to every report of the body.
        media_type: Content-Type of the body; only its charset is used.
        body: the raw body; may be empty.

    Raises:
        MalformedError: the form is unknown, there is no field, or a bound is exceeded.
    """
    query = _SECOND_QUERY.sub(b"&", query, count=1)
    asked = documents.flattened(forms.document(forms.pairs(query, "utf-8")))
    reports = _body(media_type, body)
    if not reports or not asked:
        raise MalformedError("expected at least one report, got an empty array")
    if len(asked) > 1 and len(reports) > 1:
        raise MalformedError("expected several reports in the query or in the body, got both")
    return _bounded([first + second for first in asked for second in reports])


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
    """The reports with usable fields. Layers are merged only after the bounds are checked."""
    unique = {id(layer): layer for report in reports for layer in report}
    layers = {key: _usable(layer) for key, layer in unique.items()}
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
    """Size of a layer as JSON. Its braces count as the comma before it in the whole report."""
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
