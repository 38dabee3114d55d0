"""Reads the flags file into a document, or reports every problem in it.

Rules: the first start, `check-config`, `ctl flags apply` and the console use it. It is as strict
as the reading of `set-flags` from the wire: UTF-8 without a byte order mark, one JSON object, each
key once. `flags_document` knows what the fields mean.
"""

from __future__ import annotations

import codecs
import json
from typing import Any, Final, NoReturn

from contracts.codec import other_encoding
from contracts.documents import given_twice, repeated, unfit
from worker.domain.migration.flags_document import FlagsError

MAX_BYTES: Final = 1_048_576


def read(data: bytes) -> dict[str, Any]:
    """Return the document.

    Raises:
        FlagsError: the file is not a valid document; every problem is listed.
    """
    text = _text(data)
    try:
        twice = repeated(text)
        document = json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise FlagsError(("expected JSON, got too many levels",)) from None
    except ValueError as error:
        raise FlagsError((f"expected JSON, got {error}",)) from None
    if not isinstance(document, dict):
        raise FlagsError(("expected a JSON object",))
    problems = (*map(given_twice, twice), *unfit(document))
    if problems:
        raise FlagsError(problems)
    return document


def _text(data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise FlagsError((f"expected at most {MAX_BYTES} bytes, got {len(data)}",))
    mark = other_encoding(data)
    if data.startswith(codecs.BOM_UTF8):
        mark = "UTF-8 with a byte order mark"
    if mark is not None or b"\0" in data:
        raise FlagsError((f"expected UTF-8 without a byte order mark, got {mark or 'a NUL'}",))
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise FlagsError((f"expected UTF-8, got another byte at position {error.start}",)) from None


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name}, which is not a JSON number")
